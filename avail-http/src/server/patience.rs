//! How long a client may take. hyper's own timeout for a head also ends a connection that is idle,
//! and none of its timeouts ends one whose client does not read; so that the clock is here, at the
//! socket: 2 s for a head, 30 s between requests, 10 s for taking an answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
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
#[derive(Debug)]
pub(super) struct Patient<S> {
    socket: S,
    phase: Phase,
    /// Whether a head has begun in the phase `Idle`.
    in_head: bool,
    shown: PhaseCell,
    deadline: Instant,
    /// It may end before the deadline, and is then set again: setting it is dear.
    sleep: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(socket: S, shown: PhaseCell) -> Self {
        let deadline = Instant::now() + HEAD;
        let sleep = Box::pin(tokio::time::sleep_until(deadline));
        shown.set(Phase::New);
        Patient { socket, phase: Phase::New, in_head: true, shown, deadline, sleep }
    }

    fn enter(&mut self, phase: Phase, patience: Duration) {
        self.phase = phase;
        self.shown.set(phase);
        self.give(patience);
    }

    fn give(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
        if self.deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(self.deadline);
        }
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
        loop {
            ready!(self.sleep.as_mut().poll(context));
            if self.deadline <= self.sleep.deadline() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            let deadline = self.deadline;
            self.sleep.as_mut().reset(deadline);
        }
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
