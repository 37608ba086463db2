//! Reading documents and storing them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::engine::error::EngineError;
use crate::engine::{Engine, blocking};
use crate::status::say;

/// How often progress is shown.
const BETWEEN_REPORTS: Duration = Duration::from_millis(500);

/// Stores every document that is new or has changed.
pub async fn store_all(engine: &'static Engine, documents: &[PathBuf]) {
    let mut progress = Progress::new(documents.len());
    for document in documents {
        let stored = store_if_changed(engine, document).await;
        progress.add(document, stored);
    }
    progress.finish();
}

async fn store_if_changed(
    engine: &'static Engine,
    document: &Path,
) -> Result<Option<usize>, EngineError> {
    let (name, text) = read(document).await?;
    if engine.knows(&name, &text).await? {
        return Ok(None);
    }
    engine.ingest(&name, &text).await.map(Some)
}

/// Stores a document, changed or not. Gives the number of its chunks.
pub async fn store(engine: &'static Engine, document: &Path) -> Result<usize, EngineError> {
    let (name, text) = read(document).await?;
    engine.ingest(&name, &text).await
}

/// Its name and its text.
async fn read(document: &Path) -> Result<(String, String), EngineError> {
    let path = document.to_owned();
    let text = blocking(move || Ok(std::fs::read_to_string(path)?)).await?;
    Ok((document.display().to_string(), text))
}

/// How far it has come.
struct Progress {
    began: Instant,
    reported: Instant,
    all: usize,
    done: usize,
    unchanged: usize,
    left_out: usize,
    chunks: usize,
}

impl Progress {
    fn new(all: usize) -> Self {
        let now = Instant::now();
        Progress { began: now, reported: now, all, done: 0, unchanged: 0, left_out: 0, chunks: 0 }
    }

    fn add(&mut self, document: &Path, stored: Result<Option<usize>, EngineError>) {
        self.done += 1;
        match stored {
            Ok(Some(chunks)) => self.chunks += chunks,
            Ok(None) => self.unchanged += 1,
            Err(error) => {
                self.left_out += 1;
                say(format_args!("ingest: {} is left out: {error}", document.display()));
            }
        }
        if self.reported.elapsed() > BETWEEN_REPORTS {
            self.reported = Instant::now();
            say(format_args!(
                "ingest: {} of {} files, {} chunks",
                self.done, self.all, self.chunks
            ));
        }
    }

    fn finish(self) {
        let Progress { began, all, unchanged, left_out, chunks, .. } = self;
        say(format_args!(
            "ingest: {all} files in {:.1?}: {unchanged} unchanged, {left_out} left out, {chunks} \
             new chunks",
            began.elapsed(),
        ));
    }
}
