//! How long a client may take. hyper's own timeout for a head also ends a connection that is idle,
//! and none of its timeouts ends one whose client does not read; so that the clock is here, at the
//! socket: 2 s for a head, 30 s between requests, 10 s for taking an answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::connections::{Phase, PhaseCell};

/// For the head of a request, from its first byte; for the first of a connection, from the
/// beginning.
const HEAD: Duration = Duration::from_secs(2);
/// Between an answer and the next request.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// For an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A socket that gives up on a slow client.
///
/// The clock is read once the socket has nothing to say, and the timer is looked at only where it may
/// have rung: a request that comes whole and is answered at once costs one read of the clock.
#[derive(Debug)]
pub(super) struct Patient<S> {
    socket: S,
    phase: Phase,
    /// Whether a head has begun in the phase `Idle`.
    in_head: bool,
    shown: PhaseCell,
    /// How long the client may take from when the socket first had nothing to say.
    patience: Duration,
    deadline: Option<Instant>,
    /// It may end before the deadline, and is then set again: setting it is dear.
    sleep: Pin<Box<Sleep>>,
    /// Whom the timer wakes.
    waker: Option<Waker>,
}

impl<S> Patient<S> {
    pub(super) fn new(socket: S, shown: PhaseCell) -> Self {
        let deadline = Instant::now() + HEAD;
        shown.set(Phase::New);
        Patient {
            socket,
            phase: Phase::New,
            in_head: true,
            shown,
            patience: HEAD,
            deadline: Some(deadline),
            sleep: Box::pin(tokio::time::sleep_until(deadline)),
            waker: None,
        }
    }

    fn enter(&mut self, phase: Phase, patience: Duration) {
        self.phase = phase;
        self.shown.set(phase);
        self.give(patience);
    }

    fn give(&mut self, patience: Duration) {
        self.patience = patience;
        self.deadline = None;
    }

    /// Something came from the client.
    fn heard(&mut self) {
        if self.phase == Phase::Idle && !self.in_head {
            self.in_head = true;
            self.give(HEAD);
        }
    }

    /// An answer is being written.
    fn answers(&mut self) {
        if self.phase != Phase::Answering {
            self.enter(Phase::Answering, ANSWER);
        }
    }

    /// An answer was written.
    fn answered(&mut self) {
        if self.phase == Phase::Answering {
            self.in_head = false;
            self.enter(Phase::Idle, IDLE);
        }
    }

    /// The error that ends the connection, once the deadline is over.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        // The service is at work, which has limits of its own; what ends it wakes the connection.
        if self.phase != Phase::Answering && self.shown.is_working() {
            return Poll::Pending;
        }
        let Some(deadline) = self.deadline else { return self.begin_deadline(context) };
        loop {
            ready!(self.poll_sleep(context));
            if deadline <= self.sleep.deadline() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.sleep.as_mut().reset(deadline);
        }
    }

    fn begin_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let now = Instant::now();
        let deadline = now + self.patience;
        self.deadline = Some(deadline);
        let rings_for_us = self.waker.as_ref().is_some_and(|one| one.will_wake(context.waker()));
        let rings_at = self.sleep.deadline();
        if rings_for_us && now < rings_at && rings_at <= deadline {
            return Poll::Pending;
        }
        if deadline < rings_at {
            self.sleep.as_mut().reset(deadline);
        }
        self.poll_deadline(context)
    }

    fn poll_sleep(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let polled = self.sleep.as_mut().poll(context);
        self.waker = polled.is_pending().then(|| context.waker().clone());
        polled
    }

    /// What the socket says, or the error once it has said nothing for too long.
    fn or_deadline<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending => self.poll_deadline(context).map(Err),
            ready => ready,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard();
        }
        self.or_deadline(polled, context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answers();
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.or_deadline(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answers();
        let polled = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.or_deadline(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_flush(context);
        if polled.is_ready() {
            self.answered();
        }
        self.or_deadline(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A server's end that is patient, and a client's; 64 bytes fit between them.
    fn connection() -> (Patient<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(64);
        (Patient::new(server, PhaseCell::default()), client)
    }

    /// How long it takes until `io` gives up.
    async fn gives_up<T: std::fmt::Debug>(io: impl Future<Output = io::Result<T>>) -> Duration {
        let begun = Instant::now();
        let error = io.await.expect_err("it gives up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        begun.elapsed()
    }

    async fn one_exchange(server: &mut Patient<DuplexStream>, client: &mut DuplexStream) {
        client.write_all(b"ask").await.expect("room");
        server.read_exact(&mut [0; 3]).await.expect("a request");
        server.write_all(b"yes").await.expect("room");
        server.flush().await.expect("room");
        client.read_exact(&mut [0; 3]).await.expect("an answer");
    }

    /// tokio's timers go by milliseconds, and never come early.
    fn about(found: Duration, expected: Duration) {
        assert!(found >= expected && found <= expected + Duration::from_millis(2), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_has_the_time_of_a_head() {
        let (mut server, _client) = connection();
        about(gives_up(server.read(&mut [0; 8])).await, HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_dribble_do_not_lengthen_the_time_of_a_head() {
        let (mut server, mut client) = connection();
        let dribble = async {
            loop {
                client.write_all(b"x").await.expect("room");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        };
        let read = async {
            loop {
                server.read_u8().await?;
            }
        };
        tokio::select! {
            after = gives_up::<()>(read) => about(after, HEAD),
            () = dribble => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answered_client_may_be_idle_and_then_has_the_time_of_a_head() {
        let (mut server, mut client) = connection();
        one_exchange(&mut server, &mut client).await;
        tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
        one_exchange(&mut server, &mut client).await;
        client.write_all(b"a").await.expect("room");
        server.read_exact(&mut [0; 1]).await.expect("the beginning of a head");
        about(gives_up(server.read(&mut [0; 8])).await, HEAD);

        let (mut server, mut client) = connection();
        one_exchange(&mut server, &mut client).await;
        about(gives_up(server.read(&mut [0; 8])).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (mut server, mut client) = connection();
        client.write_all(b"ask").await.expect("room");
        server.read_exact(&mut [0; 3]).await.expect("a request");
        about(gives_up(server.write_all(&[0; 1_000])).await, ANSWER);
    }
}
