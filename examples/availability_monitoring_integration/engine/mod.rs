//! The service itself: it stores documents, and finds the passages that are nearest to a question.
//!
//! | component | what it is | while its breaker is open |
//! |---|---|---|
//! | `storage` | a database on disk | what was read lately comes from memory, or no text |
//! | `embedder` | a worker thread | what was asked lately is known, the rest fails at once |
//! | `vector_search` | an index in memory | it fails at once |
//!
//! Each has a `#[avail::circuit_breaker]` on the functions that use it, and a
//! `#[avail::health_check]` beside them. Nothing else here knows of availability.

pub mod chunk;
pub mod embedder;
pub mod embedding;
pub mod error;
pub mod index;
pub mod recent;
pub mod storage;
pub mod tables;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use self::embedder::Embedder;
use self::embedding::hash;
use self::error::EngineError;
use self::index::{Hit, Index};
use self::storage::{Prepared, Storage};

/// The process's one engine. A health check is a free function, so it looks here.
static ENGINE: OnceLock<Engine> = OnceLock::new();

/// How many passages an answer has.
const PASSAGES: usize = 3;

/// The engine, once it is open.
pub fn current() -> Result<&'static Engine, EngineError> {
    ENGINE.get().ok_or(EngineError::NotOpen)
}

/// The three components.
#[derive(Debug)]
pub struct Engine {
    pub storage: Storage,
    pub embedder: Embedder,
    pub index: Index,
}

/// What a question comes to.
#[derive(Debug)]
pub struct Answer {
    pub passages: Vec<Passage>,
    /// Whether a part of it comes from a fallback, or is missing.
    pub is_partial: bool,
}

/// A passage that is near to the question.
#[derive(Debug)]
pub struct Passage {
    pub id: ChunkId,
    pub nearness: f32,
    /// `None` where neither the database nor the memory could give it: where it stands is better
    /// than nothing.
    pub text: Option<Served<String>>,
}

impl Engine {
    /// Opens the engine that keeps its data in `folder`, and builds the index from what is there.
    pub fn open(folder: &Path) -> Result<&'static Self, EngineError> {
        let storage = Storage::open(folder)?;
        let index = Index::of(storage.embeddings()?);
        Ok(ENGINE.get_or_init(|| Engine { storage, embedder: Embedder::start(), index }))
    }

    /// Stores a document in place of what was stored of it before. Gives the number of its chunks.
    pub async fn ingest(&'static self, document: &str, text: &str) -> Result<usize, EngineError> {
        let mut chunks = Vec::new();
        for chunk in chunk::split(text) {
            let embedding = self.embedder.embed(chunk).await?.value;
            chunks.push((chunk.to_owned(), embedding));
        }
        let checksum = hash(text.bytes());
        let prepared = Prepared { document: document.to_owned(), checksum, chunks };
        let prepared = Arc::new(prepared);
        let to_store = prepared.clone();
        blocking(move || self.storage.write(&to_store)).await?;
        let embeddings = prepared.chunks.iter().map(|(_, embedding)| embedding);
        self.index.replace(document, embeddings)?;
        Ok(prepared.chunks.len())
    }

    /// Whether the document is stored with just this text.
    pub async fn knows(&'static self, document: &str, text: &str) -> Result<bool, EngineError> {
        let (document, checksum) = (document.to_owned(), hash(text.bytes()));
        blocking(move || Ok(self.storage.checksum_of(&document)? == Some(checksum))).await
    }

    /// The passages that are nearest to the question.
    pub async fn ask(&'static self, question: &str) -> Result<Answer, EngineError> {
        let embedding = self.embedder.embed(question).await?;
        let hits = self.index.nearest(&embedding.value, PASSAGES)?;
        let read = move || Ok(hits.into_iter().map(|hit| self.passage(hit)).collect());
        let passages: Vec<Passage> = blocking(read).await?;
        let is_partial = embedding.is_fallback || passages.iter().any(Passage::is_partial);
        Ok(Answer { passages, is_partial })
    }

    fn passage(&self, Hit { id, nearness }: Hit) -> Passage {
        let text = self.storage.read(&id).ok().flatten();
        Passage { id, nearness, text }
    }
}

impl Passage {
    fn is_partial(&self) -> bool {
        self.text.as_ref().is_none_or(|text| text.is_fallback)
    }
}

/// Where a task may wait for the disk without holding up others.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(EngineError::TaskEnded))
}

/// A value, and whether it comes from a fallback.
#[derive(Clone, Debug)]
pub struct Served<T> {
    pub value: T,
    pub is_fallback: bool,
}

impl<T> Served<T> {
    /// From the component itself.
    pub fn live(value: T) -> Self {
        Served { value, is_fallback: false }
    }

    /// From what is left without it.
    pub fn fallback(value: T) -> Self {
        Served { value, is_fallback: true }
    }
}

/// A document's path, and the number of the chunk in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    pub document: Arc<str>,
    pub number: u32,
}

impl ChunkId {
    pub fn new(document: &Arc<str>, number: u32) -> Self {
        ChunkId { document: document.clone(), number }
    }

    fn key(&self) -> (&str, u32) {
        (&self.document, self.number)
    }

    fn from_key((document, number): (&str, u32)) -> Self {
        ChunkId { document: document.into(), number }
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.document, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_ingested_is_found_with_its_text_and_known_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::open(folder.path()).expect("a new database");
        let text = "The breaker opens after three failures in a row.";
        engine.ingest("breaker.md", text).await.expect("room");
        engine.ingest("style.md", "Lines have one hundred columns.").await.expect("room");

        let answer = engine.ask("when does the breaker open?").await.expect("all works");
        assert!(!answer.is_partial);
        assert_eq!(&*answer.passages[0].id.document, "breaker.md");
        assert_eq!(answer.passages[0].text.as_ref().map(|text| &*text.value), Some(text));
        assert!(engine.knows("breaker.md", text).await.expect("all works"));
        assert!(!engine.knows("breaker.md", "changed").await.expect("all works"));
    }
}
