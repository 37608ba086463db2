//! The component `storage`: compressed chunks and their embeddings, in a database on disk.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::embedding::Embedding;
use super::error::EngineError;
use super::recent::Recent;
use super::tables::{self, CHUNKS, DOCUMENTS, VECTORS, decompress};
use super::{ChunkId, Served};

/// How many chunks are kept in memory for the time when the database can't be read.
const KEPT: usize = 256;

/// One document, cut and embedded, ready to be stored.
#[derive(Debug)]
pub struct Prepared {
    pub document: String,
    pub checksum: u64,
    pub chunks: Vec<(String, Embedding)>,
}

/// The database, and the chunks that were read from it lately.
#[derive(Debug)]
pub struct Storage {
    path: PathBuf,
    /// `None` while it is closed.
    database: RwLock<Option<Database>>,
    recent: Recent<ChunkId, String>,
}

/// A check looks at the thing itself, past the breaker: it has to see when it works again.
#[avail::health_check(name = "storage", interval = "1s", slo = 99.5)]
fn storage_reads_back() -> Result<avail::Health, EngineError> {
    super::current()?.storage.examine()
}

impl Storage {
    /// Opens the database in `folder`, or makes it.
    pub fn open(folder: &Path) -> Result<Self, redb::Error> {
        let path = folder.join("chunks.redb");
        let database = RwLock::new(Some(tables::open(&path)?));
        Ok(Storage { path, database, recent: Recent::new(KEPT) })
    }

    /// Stores a document in place of what was stored of it before: all of it or nothing.
    #[avail::circuit_breaker(
        name = "storage",
        failure_threshold = 3,
        success_threshold = 2,
        timeout = "3s"
    )]
    pub fn write(&self, prepared: &Prepared) -> Result<(), EngineError> {
        self.with_database(|database| tables::replace(database, prepared))
    }

    /// A chunk's text; `None`, which is no failure, if there is no such chunk. While the breaker is
    /// open, one that was read lately is served from memory.
    #[avail::circuit_breaker(
        name = "storage",
        failure_threshold = 3,
        success_threshold = 2,
        timeout = "3s",
        fallback = |rejected| self.remembered(id).map(Some).ok_or(rejected.into())
    )]
    pub fn read(&self, id: &ChunkId) -> Result<Option<Served<String>>, EngineError> {
        let text = self.read_through(id)?;
        if let Some(text) = &text {
            self.recent.put(id.clone(), text.clone());
        }
        Ok(text.map(Served::live))
    }

    fn remembered(&self, id: &ChunkId) -> Option<Served<String>> {
        self.recent.get(id).map(Served::fallback)
    }

    fn read_through(&self, id: &ChunkId) -> Result<Option<String>, EngineError> {
        let stored = self.with_database(|database| {
            let chunks = database.begin_read()?.open_table(CHUNKS)?;
            Ok(chunks.get(id.key())?.map(|row| decompress(row.value())))
        })?;
        stored.map(|text| text.ok_or_else(|| EngineError::Damaged(id.clone()))).transpose()
    }

    /// The checksum of the document as it was stored; `None` if it was not.
    pub fn checksum_of(&self, document: &str) -> Result<Option<u64>, EngineError> {
        self.with_database(|database| {
            let documents = database.begin_read()?.open_table(DOCUMENTS)?;
            Ok(documents.get(document)?.map(|row| row.value()))
        })
    }

    /// Every embedding that is stored: what the index is built from.
    pub fn embeddings(&self) -> Result<Vec<(ChunkId, Embedding)>, EngineError> {
        let stored = self.with_database(|database| {
            let vectors = database.begin_read()?.open_table(VECTORS)?;
            let rows = vectors.iter()?.map(|row| {
                let (key, bytes) = row?;
                Ok((ChunkId::from_key(key.value()), Embedding::from_bytes(bytes.value())))
            });
            rows.collect::<Result<Vec<_>, redb::Error>>()
        })?;
        let whole = stored.into_iter().map(|(id, embedding)| match embedding {
            Some(embedding) => Ok((id, embedding)),
            None => Err(EngineError::Damaged(id)),
        });
        whole.collect()
    }

    /// Reads one chunk back from the disk, whichever comes first.
    fn examine(&self) -> Result<avail::Health, EngineError> {
        let (first, stored) = self.with_database(|database| {
            let chunks = database.begin_read()?.open_table(CHUNKS)?;
            let first = chunks.first()?.map(|(key, _)| ChunkId::from_key(key.value()));
            Ok((first, chunks.len()?))
        })?;
        if let Some(id) = first {
            self.read_through(&id)?;
        }
        Ok(avail::Health::healthy().detail("chunks", stored))
    }

    /// Closes the database: its handle is dropped, and with it the lock on the file.
    pub fn close(&self) {
        self.database.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Opens the database again.
    pub fn reopen(&self) -> Result<(), EngineError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            *database = Some(tables::open(&self.path)?);
        }
        Ok(())
    }

    fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, EngineError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(EngineError::DatabaseClosed)?;
        Ok(work(database)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(texts: &[&str]) -> Prepared {
        let chunks = texts.iter().map(|text| (text.to_string(), Embedding::of(text))).collect();
        Prepared { document: "notes.md".into(), checksum: 7, chunks }
    }

    fn id(number: u32) -> ChunkId {
        ChunkId::new(&"notes.md".into(), number)
    }

    #[test]
    fn what_was_written_is_there_after_the_database_was_closed_and_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::open(folder.path()).expect("a database");
        storage.write(&prepared(&["first", "second"])).expect("room");
        storage.close();
        storage.reopen().expect("the same database");
        assert_eq!(storage.read_through(&id(1)).expect("open"), Some("second".into()));
        assert_eq!(storage.checksum_of("notes.md").expect("open"), Some(7));
        let embeddings = storage.embeddings().expect("whole");
        assert_eq!(embeddings[0], (id(0), Embedding::of("first")));
    }

    #[test]
    fn a_document_that_got_shorter_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::open(folder.path()).expect("a database");
        storage.write(&prepared(&["one", "two", "three"])).expect("room");
        storage.write(&prepared(&["four"])).expect("room");
        assert_eq!(storage.embeddings().expect("whole").len(), 1);
        assert_eq!(storage.read_through(&id(1)).expect("open"), None);
    }

    #[test]
    fn a_closed_database_fails_and_the_memory_knows_what_was_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::open(folder.path()).expect("a database");
        storage.write(&prepared(&["first", "second"])).expect("room");
        storage.read(&id(0)).expect("stored");
        storage.close();
        assert!(matches!(storage.read_through(&id(0)), Err(EngineError::DatabaseClosed)));
        assert_eq!(storage.remembered(&id(0)).map(|served| served.value), Some("first".into()));
        assert!(storage.remembered(&id(1)).is_none());
    }
}
