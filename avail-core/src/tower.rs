//! A circuit breaker as a tower layer (feature `tower`).
//!
//! It means what [`CircuitBreaker::call`] means: an `Err` is a failure, unless
//! [`classify`](CircuitBreakerLayer::classify) says otherwise; a response future that is dropped
//! gives its slot back, or counts as a failure if it is overdue; a panic is a failure.
//!
//! Where there are breakers further down, `classify(Outcome::of_nested)` looks for their rejections
//! in the error, and does not count them; [`Outcome::of_error`] does so for boxed errors.
//!
//! `poll_ready` is the inner service's own: an open breaker is no reason to hold callers back, and
//! shows as an error of the response future.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use avail_core::tower::CircuitBreakerLayer;
//! use avail_core::{CallError, CircuitBreaker};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! let breaker = CircuitBreaker::new("storage", Default::default());
//! let mut service = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::new(breaker.clone()))
//!     .service(service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id + 1) }));
//! assert_eq!(service.ready().await?.call(1).await?, 2);
//!
//! breaker.trip();
//! let rejected = service.ready().await?.call(1).await;
//! assert!(matches!(rejected, Err(CallError::CircuitBreaker(_))));
//! # Ok(()) }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::breaker::{CallError, CircuitBreaker, CircuitBreakerError, End, Outcome, Permit};

/// `Ok` is a success, `Err` a failure.
pub type ByResult = ();

/// What a result counts as: [`ByResult`], or a function of it.
pub trait Classify<T, E> {
    /// What it counts as.
    fn classify(&self, result: &Result<T, E>) -> Outcome;
}

impl<T, E> Classify<T, E> for ByResult {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        Outcome::of_result(result)
    }
}

/// A function that says what a result counts as.
#[derive(Clone, Copy, Debug)]
pub struct ByFunction<C>(C);

impl<T, E, C: Fn(&Result<T, E>) -> Outcome> Classify<T, E> for ByFunction<C> {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        (self.0)(result)
    }
}

/// Puts a circuit breaker in front of a service; see the [module](self).
///
/// Clones share the breaker. So do the services that it makes: for one breaker a service, make one
/// layer each.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<C = ByResult> {
    breaker: CircuitBreaker,
    classify: C,
}

impl CircuitBreakerLayer {
    /// With this breaker, such as one of a [`CircuitBreakerRegistry`](crate::CircuitBreakerRegistry).
    pub fn new(breaker: CircuitBreaker) -> Self {
        CircuitBreakerLayer { breaker, classify: () }
    }

    /// Asks `classify` what a result counts as: an HTTP client's `Ok` with status 503, say, is a
    /// failure.
    pub fn classify<C>(self, classify: C) -> CircuitBreakerLayer<ByFunction<C>> {
        CircuitBreakerLayer { breaker: self.breaker, classify: ByFunction(classify) }
    }
}

impl<S, C: Clone> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let CircuitBreakerLayer { breaker, classify } = self.clone();
        CircuitBreakerService { inner, breaker, classify }
    }
}

/// A service behind a circuit breaker; see the [module](self).
#[derive(Clone, Debug)]
pub struct CircuitBreakerService<S, C = ByResult> {
    inner: S,
    breaker: CircuitBreaker,
    classify: C,
}

impl<S, C> CircuitBreakerService<S, C> {
    /// Its breaker.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }
}

impl<S, C, Request> Service<Request> for CircuitBreakerService<S, C>
where
    S: Service<Request>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = CallError<S::Error>;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(CallError::Operation)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut permit = match self.breaker.acquire() {
            Ok(permit) => permit,
            Err(error) => return ResponseFuture::Rejected { error: Some(error) },
        };
        let future = permit.watch(|| self.inner.call(request));
        let limit = permit.limit();
        ResponseFuture::Running {
            future,
            permit: Some(permit),
            limit: limit.map(sleep),
            after: limit.unwrap_or_default(),
            classify: self.classify.clone(),
        }
    }
}

pin_project! {
    /// What a call of a [`CircuitBreakerService`] gives.
    #[project = Projected]
    #[derive(Debug)]
    #[allow(missing_docs)] // how it is built is nobody's business
    pub enum ResponseFuture<F, C> {
        #[doc(hidden)]
        Running {
            #[pin]
            future: F,
            permit: Option<Permit>,
            #[pin]
            limit: Option<Sleep>,
            after: Duration,
            classify: C,
        },
        #[doc(hidden)]
        Rejected { error: Option<CircuitBreakerError> },
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, CallError<E>>;

    /// # Panics
    ///
    /// If it is polled after it has given its output.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        const POLLED_AGAIN: &str = "a response future is not polled after its output";
        match self.project() {
            Projected::Rejected { error } => {
                Poll::Ready(Err(CallError::CircuitBreaker(error.take().expect(POLLED_AGAIN))))
            }
            Projected::Running { future, permit, limit, after, classify } => {
                let held = permit.as_mut().expect(POLLED_AGAIN);
                if let Poll::Ready(result) = held.watch(|| future.poll(context)) {
                    let outcome = held.watch(|| classify.classify(&result));
                    if let Some(permit) = permit.take() {
                        permit.end_as(End::from(outcome));
                    }
                    return Poll::Ready(result.map_err(CallError::Operation));
                }
                let Some(limit) = limit.as_pin_mut() else { return Poll::Pending };
                ready!(limit.poll(context));
                let permit = permit.take().expect(POLLED_AGAIN);
                Poll::Ready(Err(CallError::CircuitBreaker(permit.time_out(*after))))
            }
        }
    }
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::{CircuitBreakerConfig, CircuitState};

    fn breaker(failures: u32) -> CircuitBreaker {
        let config = CircuitBreakerConfig::builder()
            .failure_threshold(failures)
            .call_timeout(Duration::from_secs(3))
            .build()
            .expect("valid");
        CircuitBreaker::new("storage", config)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_service_opens_it_and_the_inner_error_is_kept() {
        let breaker = breaker(2);
        let layer = CircuitBreakerLayer::new(breaker.clone());
        let service = ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(|_: ()| async { Err::<(), _>("refused") }));
        for _ in 0..2 {
            let error = service.clone().oneshot(()).await;
            assert_eq!(error, Err(CallError::Operation("refused")));
        }
        assert_eq!(breaker.state(), CircuitState::Open);
        let rejected = service.oneshot(()).await;
        assert!(matches!(rejected, Err(CallError::CircuitBreaker(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_counts_can_be_said() {
        let breaker = breaker(1);
        let layer =
            CircuitBreakerLayer::new(breaker.clone()).classify(|status: &Result<u16, &str>| {
                match status {
                    Ok(500..) => Outcome::Failure,
                    _ => Outcome::Success,
                }
            });
        let service = layer.layer(service_fn(|status: u16| async move { Ok::<_, &str>(status) }));
        assert_eq!(service.clone().oneshot(404).await, Ok(404));
        assert_eq!(service.oneshot(503).await, Ok(503));
        assert_eq!(breaker.state(), CircuitState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rejection_of_a_layer_further_down_does_not_count() {
        let (outer, inner) = (breaker(1), breaker(1));
        inner.trip();
        let service = ServiceBuilder::new()
            .layer(CircuitBreakerLayer::new(outer.clone()).classify(Outcome::of_nested))
            .layer(CircuitBreakerLayer::new(inner))
            .service(service_fn(|_: ()| async { Ok::<(), std::io::Error>(()) }));
        let error = service.oneshot(()).await.expect_err("the inner one is open");
        assert!(matches!(error, CallError::Operation(CallError::CircuitBreaker(_))));
        assert_eq!((outer.state(), outer.metrics().calls.rejected), (CircuitState::Closed, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_boxed_error_can_be_looked_through() {
        let (outer, inner) = (breaker(1), breaker(1));
        inner.trip();
        let layer = CircuitBreakerLayer::new(outer.clone()).classify(|result: &Result<_, _>| {
            result.as_ref().map_or_else(
                |error: &tower::BoxError| Outcome::of_error(&**error),
                |()| Outcome::Success,
            )
        });
        let call = service_fn(|_: ()| {
            let permit = inner.acquire();
            async { permit.map(drop).map_err(tower::BoxError::from) }
        });
        layer.layer(call).oneshot(()).await.expect_err("the inner one is open");
        assert_eq!((outer.state(), outer.metrics().calls.rejected), (CircuitState::Closed, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_call_is_cut_off_and_a_dropped_one_gives_its_slot_back() {
        let breaker = breaker(1);
        let hang = service_fn(|_: ()| std::future::pending::<Result<(), &str>>());
        let service = CircuitBreakerLayer::new(breaker.clone()).layer(hang);
        drop(service.clone().oneshot(()));
        assert_eq!(breaker.state(), CircuitState::Closed);
        let error = service.oneshot(()).await.expect_err("it hangs");
        let error = error.circuit_breaker().cloned().expect("the breaker's own");
        assert!(matches!(error, CircuitBreakerError::Timeout { .. }));
        assert_eq!((breaker.state(), breaker.metrics().calls.timeout), (CircuitState::Open, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_cut_off_says_the_time_that_it_was_given() {
        let breaker = breaker(1);
        let hang = service_fn(|_: ()| std::future::pending::<Result<(), &str>>());
        let call = CircuitBreakerLayer::new(breaker.clone()).layer(hang).call(());
        breaker.reconfigure(CircuitBreakerConfig::default()).expect("valid");
        let error = call.await.expect_err("it hangs");
        let Some(CircuitBreakerError::Timeout { after, .. }) = error.circuit_breaker() else {
            panic!("{error:?}")
        };
        assert_eq!(*after, Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_even_if_the_future_is_dropped_later() {
        let breaker = breaker(1);
        let panics = service_fn(|_: ()| async {
            assert_eq!(1, 2);
            Ok::<(), &str>(())
        });
        let service = CircuitBreakerLayer::new(breaker.clone()).layer(panics);
        tokio::spawn(service.oneshot(())).await.expect_err("it panics");
        assert_eq!((breaker.state(), breaker.metrics().calls.panic), (CircuitState::Open, 1));
    }

    #[test]
    fn it_is_cheap_to_clone_and_adds_no_box() {
        type Inner = std::future::Ready<Result<(), ()>>;
        let own = size_of::<ResponseFuture<Inner, ByResult>>() - size_of::<Inner>();
        assert!(own <= 256, "{own} bytes");
    }
}
