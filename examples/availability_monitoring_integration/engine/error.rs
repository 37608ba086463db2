//! What can go wrong in the engine.

use avail::CircuitBreakerError;

use super::ChunkId;

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the engine is not open yet")]
    NotOpen,
    #[error("the database is closed")]
    DatabaseClosed,
    #[error("the database failed: {0}")]
    Database(Box<redb::Error>),
    #[error("chunk {0} is damaged")]
    Damaged(ChunkId),
    #[error("the embedder's worker has stopped")]
    WorkerStopped,
    #[error("the vector index is gone")]
    IndexLost,
    #[error("the vector index is empty")]
    IndexEmpty,
    #[error("the document can't be read: {0}")]
    Document(#[from] std::io::Error),
    #[error("a task of the engine was ended")]
    TaskEnded,
    /// The call was not made. This one variant is all that `#[circuit_breaker]` asks of an error.
    #[error(transparent)]
    Unavailable(#[from] CircuitBreakerError),
}

impl From<redb::Error> for EngineError {
    fn from(error: redb::Error) -> Self {
        EngineError::Database(Box::new(error))
    }
}

impl EngineError {
    /// Whether another process has the database open.
    pub fn is_in_use(&self) -> bool {
        let EngineError::Database(error) = self else { return false };
        matches!(**error, redb::Error::DatabaseAlreadyOpen)
    }
}
