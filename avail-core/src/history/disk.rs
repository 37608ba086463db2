//! The file operations that a history is made of: few, so that tests can let each of them fail.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a history needs of a disk.
pub(crate) trait Disk: Debug + Send {
    /// Takes a lock for as long as what it gives lives.
    fn lock(&self, path: &Path) -> Result<Box<dyn Held>, OpenError>;
    /// Opens a file to write at its end; makes it where there is none.
    fn append(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    /// The same, but empty.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>>;
    fn read(&self, path: &Path) -> io::Result<Box<dyn BufRead>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Until then, names that were made or changed in a folder may be lost with the power.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;
}

/// A file that is written at its end.
pub(crate) trait Appending: Debug + Send {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn size(&self) -> io::Result<u64>;
    /// Whether the file at `path` is this one: it may have been deleted, or replaced.
    fn is_at(&self, path: &Path) -> bool;
}

/// A lock that is held.
pub(crate) trait Held: Debug + Send {
    /// Whether the lock at `path` is this one.
    fn is_at(&self, path: &Path) -> bool;
}

/// Why a history can't be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another process has it.
    Locked,
    /// This process has it already.
    LockedHere,
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        OpenError::Io(error)
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locked | OpenError::LockedHere => {
                io::Error::other("another process has taken the history over")
            }
            OpenError::Io(error) => error,
        }
    }
}

/// The operating system's.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn lock(&self, path: &Path) -> Result<Box<dyn Held>, OpenError> {
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let name = std::fs::canonicalize(path)?;
        let mut own = own_locks();
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock if own.contains(&name) => OpenError::LockedHere,
            TryLockError::WouldBlock => OpenError::Locked,
            TryLockError::Error(error) => OpenError::Io(error),
        })?;
        own.push(name.clone());
        Ok(Box::new(Lock { file: Some(lock), name }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let problem = "what is there is no regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Ok(Box::new(OpenOptions::new().create(true).append(true).read(true).open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(File::create(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn BufRead>> {
        Ok(Box::new(BufReader::with_capacity(1 << 16, File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    /// Elsewhere folders can't be opened, and need not be synchronised; nor on file systems that say
    /// that they know no such thing.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let synced = if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) };
        match synced {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }
}

impl Appending for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn is_at(&self, path: &Path) -> bool {
        is_same(self, path)
    }
}

/// The locks that this process has, by name: the system tells only that somebody has one.
fn own_locks() -> MutexGuard<'static, Vec<PathBuf>> {
    static OWN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock of this process.
#[derive(Debug)]
struct Lock {
    /// Until it is given back.
    file: Option<File>,
    name: PathBuf,
}

impl Held for Lock {
    fn is_at(&self, path: &Path) -> bool {
        self.file.as_ref().is_some_and(|file| is_same(file, path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut own = own_locks();
        self.file = None;
        if let Some(index) = own.iter().position(|name| *name == self.name) {
            own.swap_remove(index);
        }
    }
}

/// Where that can't be told it is taken to be so.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
        (_, Err(error)) => error.kind() != io::ErrorKind::NotFound,
        _ => true,
    }
}

#[cfg(not(unix))]
fn is_same(_: &File, _: &Path) -> bool {
    true
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
