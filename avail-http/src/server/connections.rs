//! Accepting connections, and how many there may be at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::patience::{IDLE, Patient};
use super::served::Served;

/// At most so many connections.
const LIMIT: usize = 256;
/// The head of a request, in bytes; the smallest buffer that hyper takes.
const HEAD: usize = 8 * 1024;
/// How long answers under way may take once the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How often it is looked whether they are done.
const GLANCE: Duration = Duration::from_millis(10);
/// How long accepting waits where the system has nothing to give, such as file descriptors.
const RELIEF: Duration = Duration::from_millis(100);

/// Serves until `stopped` holds true, or nobody is left who could say so and the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    served: Served,
    mut stopped: watch::Receiver<bool>,
) {
    let mut guests = Guests::default();
    let mut end = pin!(told(&mut stopped));
    loop {
        tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => match accepted {
                Ok(client) => guests.welcome(client, served.clone()),
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    guests.dismiss_one(Phase::Working);
                    tokio::time::sleep(RELIEF).await;
                }
            },
            () = guests.one_left(), if !guests.tasks.is_empty() => {}
        }
    }
    drop(listener);
    guests.all_left(LAST_ANSWERS).await;
}

/// Where every handle is gone nobody can stop it any more.
async fn told(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What a connection does at the moment; the lower, the sooner it is closed in favour of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// It has not been answered yet.
    New,
    /// It has been answered, and waits for the next request.
    Idle,
    /// An answer is being written, for which the client has yet to make room: what needs no waiting
    /// is over before anybody looks.
    Answering,
    /// What an operator asked for is being done.
    Working,
}

/// The phase of a connection, which its task sets and the acceptor reads. Both run on one thread,
/// hence relaxed throughout.
#[derive(Clone, Debug, Default)]
pub(super) struct PhaseCell(Arc<AtomicU8>);

impl PhaseCell {
    pub(super) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn is_working(&self) -> bool {
        self.get() == Phase::Working as u8
    }
}

/// The connections there are, oldest first.
#[derive(Debug, Default)]
struct Guests {
    tasks: JoinSet<u64>,
    known: BTreeMap<u64, (AbortHandle, PhaseCell)>,
    next: u64,
}

impl Guests {
    fn welcome(&mut self, client: (TcpStream, SocketAddr), served: Served) {
        if self.known.len() >= LIMIT && !self.dismiss_one(Phase::Working) {
            return;
        }
        let (id, phase) = (self.next, PhaseCell::default());
        self.next += 1;
        let connection = converse(client, served, phase.clone());
        let task = self.tasks.spawn(async move {
            connection.await;
            id
        });
        self.known.insert(id, (task, phase));
    }

    /// Closes a connection in a phase before that one: the earliest phase first, and of those the
    /// oldest. Gives whether there was one.
    fn dismiss_one(&mut self, before: Phase) -> bool {
        let waiting = self.known.iter().map(|(id, (_, phase))| (phase.get(), *id));
        let waiting = waiting.filter(|(phase, _)| *phase < before as u8);
        let Some((_, id)) = waiting.min() else { return false };
        if let Some((task, _)) = self.known.remove(&id) {
            task.abort();
        }
        true
    }

    /// One that was dismissed is forgotten already.
    async fn one_left(&mut self) {
        if let Some(Ok(id)) = self.tasks.join_next().await {
            self.known.remove(&id);
        }
    }

    /// Those that wait leave at once, and those that are being answered after that: they are looked at
    /// here, so that no connection has to listen for the end at each of its requests.
    async fn all_left(mut self, limit: Duration) {
        let all = async {
            while !self.tasks.is_empty() {
                while self.dismiss_one(Phase::Answering) {}
                let _ = tokio::time::timeout(GLANCE, self.one_left()).await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// One connection, from its first byte to its end.
async fn converse((stream, peer): (TcpStream, SocketAddr), served: Served, phase: PhaseCell) {
    // Answers are small, and each is written at once.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Patient::new(stream, phase.clone()));
    let answer = service_fn(|request| served.answer(request, peer, &phase));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD)
        .serve_connection(io, answer);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}
