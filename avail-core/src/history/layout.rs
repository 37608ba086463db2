//! What the files of a history are called.
//!
//! | name | what it is |
//! |---|---|
//! | `history.jsonl` | what is being written |
//! | `history.jsonl.7` | what was written before that: the seventh such file, a segment |
//! | `history.jsonl.7.snapshot` | what the first seven segments come to |
//! | `history.jsonl.snapshot.tmp` | a snapshot that is not whole yet |
//! | `history.jsonl.lock` | locked by the process that writes |
//!
//! The number in a name says what a snapshot holds. So nothing is counted twice and nothing left
//! out, whatever the process was doing when it died, and whichever line is damaged.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, folder_of};

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    active: PathBuf,
}

/// The numbered files that there are.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) segments: BTreeSet<u64>,
    pub(super) snapshots: BTreeSet<u64>,
}

impl Found {
    /// The next segment's number.
    pub(super) fn next(&self) -> u64 {
        self.segments.last().max(self.snapshots.last()).map_or(1, |last| last.saturating_add(1))
    }
}

impl Layout {
    pub(crate) fn new(active: &Path) -> Self {
        Layout { active: active.to_owned() }
    }

    pub(super) fn active(&self) -> &Path {
        &self.active
    }

    pub(super) fn folder(&self) -> PathBuf {
        folder_of(&self.active)
    }

    fn with(&self, ending: &str) -> PathBuf {
        let mut path = self.active.as_os_str().to_owned();
        path.push(ending);
        path.into()
    }

    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.with(&format!(".{number}"))
    }

    pub(super) fn snapshot(&self, number: u64) -> PathBuf {
        self.with(&format!(".{number}{SNAPSHOT}"))
    }

    pub(super) fn unfinished_snapshot(&self) -> PathBuf {
        self.with(&format!("{SNAPSHOT}.tmp"))
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.with(".lock")
    }

    pub(super) fn look(&self, disk: &dyn Disk) -> io::Result<Found> {
        let names = match disk.list(&self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
            names => names?,
        };
        let mut found = Found::default();
        for name in names {
            if let Some(ending) = self.ending(name) {
                found.note(&ending);
            }
        }
        Ok(found)
    }

    /// What comes after the active file's name and a full stop.
    fn ending(&self, name: OsString) -> Option<String> {
        let name = name.into_encoded_bytes();
        let rest = name.strip_prefix(self.active.file_name()?.as_encoded_bytes())?;
        String::from_utf8(rest.strip_prefix(b".")?.to_vec()).ok()
    }
}

impl Found {
    fn note(&mut self, ending: &str) {
        let (numbers, digits) = match ending.strip_suffix(SNAPSHOT) {
            Some(digits) => (&mut self.snapshots, digits),
            None => (&mut self.segments, ending),
        };
        // Only as we would write it: `+7` and `007` are not ours.
        numbers.extend(digits.parse().ok().filter(|number: &u64| number.to_string() == digits));
    }
}

const SNAPSHOT: &str = ".snapshot";
