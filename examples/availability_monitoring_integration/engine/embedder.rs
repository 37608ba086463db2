//! The component `embedder`: a worker thread that turns texts into embeddings.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::Served;
use super::embedding::Embedding;
use super::error::EngineError;
use super::recent::Recent;

/// How many embeddings are kept for the time when the worker can't be asked.
const KEPT: usize = 256;

/// What the worker is asked to do.
enum Job {
    Embed { text: String, reply: oneshot::Sender<Embedding> },
    Stop,
}

/// The worker, and the embeddings that it gave lately.
#[derive(Debug)]
pub struct Embedder {
    worker: Mutex<Worker>,
    recent: Recent<String, Embedding>,
}

/// Embeds a few words that are never remembered, so that it is the worker who answers.
#[avail::health_check(name = "embedder", interval = "1s")]
async fn embedder_answers() -> Result<(), EngineError> {
    super::current()?.embedder.ask("are you there?").await.map(drop)
}

impl Embedder {
    /// Starts the worker.
    pub fn start() -> Self {
        Embedder { worker: Mutex::new(Worker::start()), recent: Recent::new(KEPT) }
    }

    /// The embedding of `text`. While the breaker is open, one that was given lately is served from
    /// memory.
    #[avail::circuit_breaker(
        name = "embedder",
        failure_threshold = 3,
        success_threshold = 2,
        timeout = "3s",
        fallback = |rejected| self.remembered(text).ok_or(rejected.into())
    )]
    pub async fn embed(&self, text: &str) -> Result<Served<Embedding>, EngineError> {
        let embedding = self.ask(text).await?;
        self.recent.put(text.to_owned(), embedding.clone());
        Ok(Served::live(embedding))
    }

    fn remembered(&self, text: &str) -> Option<Served<Embedding>> {
        self.recent.get(&text.to_owned()).map(Served::fallback)
    }

    async fn ask(&self, text: &str) -> Result<Embedding, EngineError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Embed { text: text.to_owned(), reply };
        self.worker().jobs.send(job).map_err(|_| EngineError::WorkerStopped)?;
        answer.await.map_err(|_| EngineError::WorkerStopped)
    }

    /// Ends the worker's thread; whatever it is asked from then on goes into a closed channel.
    pub fn stop(&self) {
        self.worker().stop();
    }

    /// Starts a new worker.
    pub fn restart(&self) {
        let mut worker = self.worker();
        worker.stop();
        *worker = Worker::start();
    }

    fn worker(&self) -> MutexGuard<'_, Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Worker {
    jobs: Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start() -> Self {
        let (jobs, waiting) = mpsc::channel();
        Worker { jobs, thread: Some(thread::spawn(move || work(waiting))) }
    }

    fn stop(&mut self) {
        // Whether it took the job, and how it ended, is no matter: it is gone.
        let _ = self.jobs.send(Job::Stop);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn work(waiting: Receiver<Job>) {
    for job in waiting {
        match job {
            // One who does not wait any more needs no answer.
            Job::Embed { text, reply } => drop(reply.send(Embedding::of(&text))),
            Job::Stop => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_until_it_is_stopped_and_again_after_a_restart() {
        let embedder = Embedder::start();
        assert_eq!(embedder.ask("a text").await.expect("it works"), Embedding::of("a text"));
        embedder.stop();
        assert!(matches!(embedder.ask("a text").await, Err(EngineError::WorkerStopped)));
        embedder.restart();
        assert!(embedder.ask("a text").await.is_ok());
    }
}
