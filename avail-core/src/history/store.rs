//! The files of a history, and when one ends and the next begins.
//!
//! What is written goes to the end of the active file. When that is large enough it becomes a
//! segment, and a new one begins; then the segments come to a snapshot. At each step in between the
//! files say the same:
//!
//! | step | after it, the history is |
//! |---|---|
//! | the active file is on the disk | the last snapshot, the segments after it, the active file |
//! | it is renamed to the next segment | the last snapshot, the segments after it |
//! | the new snapshot has its name | the new snapshot |
//! | what the snapshot before the last held is removed | the same; the last snapshot, and the segments after it, are kept for the case that the new one is damaged |

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::disk::{Appending, Disk, Held, OpenError};
use super::layout::{Found, Layout};
use super::recovery::{GiveUp, recover_closed};

/// How long after a failure the segments are not tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Store {
    disk: Box<dyn Disk>,
    layout: Layout,
    lock: Box<dyn Held>,
    /// `None` where it is to be opened anew.
    active: Option<Box<dyn Appending>>,
    size: u64,
    /// Whether the active file may hold what is nowhere else.
    precious: bool,
    /// An fsync of the active file has failed: what it holds since the last that did not may never
    /// come to the disk, and no later fsync would say so.
    spoilt: bool,
    /// Whether the active file may end in the middle of a line.
    torn: bool,
    /// Whether its name may not be on the disk.
    unnamed: bool,
    /// Whether the new name of the one before it may not be.
    moved: bool,
    next_segment: u64,
    /// Whether there are segments that no snapshot holds.
    uncompacted: bool,
    not_before: Option<Instant>,
    max_bytes: u64,
}

/// Why lines are not known to be on the disk.
#[derive(Debug)]
pub(super) enum WriteError {
    /// Those that were to be written.
    Write(io::Error),
    /// All since the last fsync that succeeded.
    Sync(io::Error),
}

impl Store {
    /// Locks the history and opens its active file, or makes it.
    ///
    /// The lock is beside the file and not on it, so that the file can be replaced.
    pub(crate) fn open(
        disk: Box<dyn Disk>,
        path: &Path,
        max_bytes: u64,
    ) -> Result<Self, OpenError> {
        let layout = Layout::new(path);
        let lock = disk.lock(&layout.lock())?;
        let found = layout.look(&*disk)?;
        let mut store = Store {
            lock,
            active: None,
            size: 0,
            precious: true,
            spoilt: false,
            torn: false,
            unnamed: true,
            moved: false,
            next_segment: 0,
            uncompacted: false,
            not_before: None,
            max_bytes,
            disk,
            layout,
        };
        store.note(&found);
        store.open_active()?;
        Ok(store)
    }

    fn note(&mut self, found: &Found) {
        self.next_segment = found.next();
        self.uncompacted = found.segments.last() > found.snapshots.last();
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The active file was found to end in the middle of a line.
    pub(crate) fn set_torn(&mut self, torn: bool) {
        self.torn = torn;
    }

    /// Writes whole lines; gives an error where they, or older ones, may not be on the disk.
    pub(super) fn write(&mut self, lines: &str, durable: bool) -> Result<(), WriteError> {
        self.make_ready().map_err(WriteError::Write)?;
        let text = if self.torn { format!("\n{lines}") } else { lines.to_owned() };
        let written = match &mut self.active {
            Some(active) if !lines.is_empty() => active.write(text.as_bytes()),
            _ => Ok(()),
        };
        // How much of it has come to the file is unknown: the next line begins on a new one.
        self.torn = written.is_err();
        self.size += text.len() as u64;
        if let Err(error) = written {
            self.active = None;
            return Err(WriteError::Write(error));
        }
        if durable { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if let Err(error) = active.sync() {
            self.active = None;
            self.spoilt = true;
            return Err(WriteError::Sync(error));
        }
        self.precious = true;
        if self.unnamed {
            self.disk.sync_folder(&self.layout.folder()).map_err(WriteError::Sync)?;
            self.unnamed = false;
        }
        Ok(())
    }

    /// Opens what is not open, and notices what was done to the files behind our back.
    fn make_ready(&mut self) -> io::Result<()> {
        if !self.lock.is_at(&self.layout.lock()) {
            self.active = None;
            self.lock = self.disk.lock(&self.layout.lock())?;
            let found = self.layout.look(&*self.disk)?;
            self.note(&found);
        }
        if self.active.as_ref().is_some_and(|active| !active.is_at(self.layout.active())) {
            self.active = None;
        }
        if self.active.is_some() {
            return Ok(());
        }
        if self.spoilt {
            self.put_aside()?;
        }
        self.open_active()
    }

    /// The spoilt file makes room for a new one.
    fn put_aside(&mut self) -> io::Result<()> {
        let active = self.layout.active();
        let done = if self.precious {
            self.disk.rename(active, &self.layout.segment(self.next_segment))
        } else {
            self.disk.remove(active)
        };
        match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if self.precious {
            self.next_segment += 1;
            self.uncompacted = true;
        }
        (self.spoilt, self.precious, self.torn) = (false, false, false);
        self.moved = true;
        Ok(())
    }

    fn open_active(&mut self) -> io::Result<()> {
        if self.moved {
            // First: a new file by the old name must not take the place of what has yet to move.
            self.disk.sync_folder(&self.layout.folder())?;
            self.moved = false;
        }
        let active = self.disk.append(self.layout.active())?;
        self.size = active.size()?;
        self.unnamed = true;
        self.active = Some(active);
        Ok(())
    }

    /// Whether it is time to begin a new file, or to sum up those that are closed.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let patient = self.not_before.is_some_and(|not_before| now < not_before);
        !patient && (self.uncompacted || self.size >= self.max_bytes)
    }

    /// Begins a new file where the active one is large enough, and gives whether it was: all that
    /// was written before is on the disk then.
    pub(super) fn rotate(&mut self, now: Instant) -> Result<bool, WriteError> {
        if self.size < self.max_bytes {
            return Ok(false);
        }
        self.not_before = Some(now + PATIENCE);
        self.make_ready().map_err(WriteError::Write)?;
        self.sync()?;
        self.active = None; // some systems rename no file that is open
        let segment = self.layout.segment(self.next_segment);
        self.disk.rename(self.layout.active(), &segment).map_err(WriteError::Write)?;
        self.next_segment += 1;
        (self.uncompacted, self.torn, self.precious) = (true, false, false);
        self.moved = true;
        self.size = 0;
        self.open_active().map_err(WriteError::Write)?;
        self.not_before = None;
        Ok(true)
    }

    /// Sums the segments up in a snapshot, and removes what the snapshot before the last held. Given
    /// up, which is an error, it has changed nothing.
    pub(super) fn compact(&mut self, now: Instant, give_up: GiveUp<'_>) -> io::Result<()> {
        self.not_before = Some(now + PATIENCE);
        let last = self.next_segment.saturating_sub(1);
        // So that no snapshot has its name on the disk before the segments that it holds.
        self.disk.sync_folder(&self.layout.folder())?;
        let recovered = recover_closed(&*self.disk, &self.layout, last, give_up)?;
        let base = recovered.base;
        if let Some(snapshot) = recovered.into_snapshot() {
            snapshot.write(&*self.disk, &self.layout, last, give_up)?;
            self.remove_before(base, last)?;
        }
        (self.uncompacted, self.not_before) = (false, None);
        Ok(())
    }

    fn remove_before(&self, base: Option<u64>, last: u64) -> io::Result<()> {
        let Some(base) = base else { return Ok(()) };
        let found = self.layout.look(&*self.disk)?;
        let snapshots = found.snapshots.into_iter().filter(|&one| one != base && one != last);
        for number in snapshots {
            self.disk.remove(&self.layout.snapshot(number))?;
        }
        for &number in found.segments.range(..=base) {
            self.disk.remove(&self.layout.segment(number))?;
        }
        Ok(())
    }
}
