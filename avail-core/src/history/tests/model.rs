//! A disk that can be let fail at any of its operations, and whose power can be cut.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{self, BufRead, Cursor};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::disk::{Appending, Disk, Held, OpenError, folder_of};

/// What happens at an operation, and to those after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// So many operations fail, and do nothing, or half of it.
    Errors(usize),
    /// The process dies in the middle of it: nothing after it is done.
    Death,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    data: Vec<u8>,
    /// So many bytes are on the disk,
    durable: usize,
    /// but for those that a failed fsync has dropped.
    dropped: Vec<Range<usize>>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    files: HashMap<u64, Contents>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// The last change of names since then: it may come to the disk before the others.
    last_change: Vec<(PathBuf, Option<u64>)>,
    locks: BTreeMap<PathBuf, u64>,
    made: u64,
    operations: usize,
    fault: Option<(usize, Fault)>,
}

impl Model {
    /// Counts an operation, and lets it fail if it is its turn.
    fn operate(&mut self) -> io::Result<()> {
        let index = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Death)) if index >= at => Err(io::Error::other("the process died")),
            Some((at, Fault::Errors(count))) if (at..at + count).contains(&index) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, path: &Path) -> u64 {
        self.made += 1;
        let made = self.made;
        let file = *self.names.entry(path.to_owned()).or_insert(made);
        if file == made {
            self.last_change = vec![(path.to_owned(), Some(file))];
        }
        self.files.entry(file).or_default();
        file
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ModelDisk(Arc<Mutex<Model>>);

impl ModelDisk {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().expect("no test panics with it")
    }

    pub(super) fn failing(at: usize, fault: Fault) -> Self {
        let disk = ModelDisk::default();
        disk.fail(at, fault);
        disk
    }

    pub(super) fn fail(&self, at: usize, fault: Fault) {
        self.model().fault = Some((at, fault));
    }

    /// From now on nothing fails. Nobody comes back from the dead.
    pub(super) fn heal(&self) {
        let mut model = self.model();
        model.fault = model.fault.filter(|(_, fault)| *fault == Fault::Death);
    }

    /// As the end of a process does it.
    pub(super) fn unlock(&self) {
        self.model().locks.clear();
    }

    pub(super) fn operations(&self) -> usize {
        self.model().operations
    }

    /// As the next process finds it.
    pub(super) fn after_death(&self) -> Self {
        let mut model = self.model().clone();
        (model.fault, model.locks) = (None, BTreeMap::new());
        ModelDisk(Arc::new(Mutex::new(model)))
    }

    /// The same, where only what was synchronised has outlived the power.
    pub(super) fn after_power_loss(&self) -> Self {
        let disk = self.after_death();
        {
            let mut model = disk.model();
            model.names = model.durable_names.clone();
            for file in model.files.values_mut() {
                file.data.truncate(file.durable);
                for range in std::mem::take(&mut file.dropped) {
                    let end = range.end.min(file.data.len());
                    file.data[range.start.min(end)..end].fill(0);
                }
            }
        }
        disk
    }

    /// The same, but for the last change of a name: that has come to the disk before the others.
    pub(super) fn after_power_loss_out_of_order(&self) -> Self {
        let disk = self.after_power_loss();
        {
            let mut model = disk.model();
            for (name, file) in std::mem::take(&mut model.last_change) {
                match file {
                    Some(file) => model.names.insert(name, file),
                    None => model.names.remove(&name),
                };
            }
        }
        disk
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.model().names.keys().map(|name| name.display().to_string()).collect()
    }

    pub(super) fn contents(&self, path: &Path) -> Vec<u8> {
        let model = self.model();
        model.names.get(path).map(|file| model.files[file].data.clone()).unwrap_or_default()
    }

    pub(super) fn put(&self, path: &Path, data: &[u8]) {
        let mut model = self.model();
        let file = model.open(path);
        let contents = Contents { data: data.to_vec(), durable: data.len(), dropped: Vec::new() };
        model.files.insert(file, contents);
        model.durable_names.insert(path.to_owned(), file);
    }

    /// As `rm` does it.
    pub(super) fn delete(&self, path: &Path) {
        self.model().names.remove(path);
        self.model().locks.remove(path);
    }
}

impl Disk for ModelDisk {
    fn lock(&self, path: &Path) -> Result<Box<dyn Held>, OpenError> {
        let mut model = self.model();
        model.operate()?;
        let file = model.open(path);
        if model.locks.get(path) == Some(&file) {
            return Err(OpenError::Locked);
        }
        model.locks.insert(path.to_owned(), file);
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        let mut model = self.model();
        model.operate()?;
        let file = model.open(path);
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        let mut model = self.model();
        model.operate()?;
        let file = model.open(path);
        model.files.insert(file, Contents::default());
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn BufRead>> {
        self.model().operate()?;
        if !self.model().names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(Cursor::new(self.contents(path))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut model = self.model();
        model.operate()?;
        let file = model.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        model.names.insert(to.to_owned(), file);
        model.last_change = vec![(from.to_owned(), None), (to.to_owned(), Some(file))];
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        model.operate()?;
        model.last_change = vec![(path.to_owned(), None)];
        model.names.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut model = self.model();
        model.operate()?;
        model.durable_names = model.names.clone();
        model.last_change.clear();
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut model = self.model();
        model.operate()?;
        let names = model.names.keys().filter(|name| folder_of(name) == folder);
        Ok(names.filter_map(|name| Some(name.file_name()?.to_owned())).collect())
    }
}

#[derive(Debug)]
struct Handle {
    disk: ModelDisk,
    file: u64,
}

impl Handle {
    fn is_there(&self, path: &Path) -> bool {
        self.disk.model().names.get(path) == Some(&self.file)
    }
}

impl Appending for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut model = self.disk.model();
        let result = model.operate();
        let count = if result.is_ok() { bytes.len() } else { bytes.len() / 2 };
        let dead = matches!(model.fault, Some((at, Fault::Death)) if model.operations > at + 1);
        if let Some(file) = model.files.get_mut(&self.file).filter(|_| !dead) {
            file.data.extend(&bytes[..count]);
        }
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut model = self.disk.model();
        let result = model.operate();
        if let Some(file) = model.files.get_mut(&self.file) {
            match result {
                Ok(()) => file.durable = file.data.len(),
                Err(_) => file.dropped.push(file.durable..file.data.len()),
            }
        }
        result
    }

    fn size(&self) -> io::Result<u64> {
        let mut model = self.disk.model();
        model.operate()?;
        Ok(model.files.get(&self.file).map_or(0, |file| file.data.len() as u64))
    }

    fn is_at(&self, path: &Path) -> bool {
        self.is_there(path)
    }
}

impl Held for Handle {
    fn is_at(&self, path: &Path) -> bool {
        self.is_there(path)
    }
}
