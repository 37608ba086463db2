//! The attributes of [avail](https://docs.rs/avail), which re-exports them: applications do not
//! depend on this crate.
//!
//! | file | what it holds |
//! |---|---|
//! | `item` | the function, of which only the signature is parsed |
//! | `block` | the `impl` block, of which only the methods' signatures are parsed |
//! | `shape` | what calling it gives: a value, or a future, and of what |
//! | `args` | keys and values, and what is wrong with them |
//! | `wrap` | what both expansions are made of |
//! | `circuit_breaker`, `health_check` | the two attributes |
//!
//! In `circuit_breaker`, `rules` says what keys mean together, `body` what becomes of a body, `find`
//! how that finds its breaker, and `methods` what becomes of an `impl` block.

mod args;
mod block;
mod circuit_breaker;
mod health_check;
mod item;
mod shape;
#[cfg(test)]
mod tests;
mod wrap;

use proc_macro::TokenStream;

/// Puts a circuit breaker in front of a function: while the function keeps failing, calls to it are
/// rejected at once, and now and then one is let through to see.
///
/// ```
/// # async fn read(path: String) -> std::io::Result<Vec<u8>> { Ok(path.into()) }
/// #[avail::circuit_breaker(name = "storage", failure_threshold = 3, timeout = "30s")]
/// async fn fetch(id: u64) -> Result<Vec<u8>, std::io::Error> {
///     read(format!("/data/{id}")).await
/// }
///
/// # struct Search;
/// impl Search {
///     #[avail::circuit_breaker(fallback = Ok(vec![text.to_owned()]))]
///     fn suggest(&self, text: &str) -> Result<Vec<String>, std::fmt::Error> {
///         // …
/// #       let _ = text; Err(std::fmt::Error)
///     }
/// }
/// ```
///
/// | key | value | default |
/// |---|---|---|
/// | `name` | a string, or the path to a `const` one; functions that spell out the same name and the same settings share a breaker | `module::path::function`, which is never shared |
/// | `failure_threshold` | so many failures in a row open it | 5, and none where a rate is given |
/// | `success_threshold` | so many successful probes close it; at most 8,191 | 2 |
/// | `timeout` | how long it stays open | 60 s |
/// | `reset_timeout` | a row of failures older than this is forgotten | 300 s |
/// | `failure_rate` | this share of the calls in the window failed: `0.5`, or `"50%"` | off |
/// | `slow_call_rate` | this share of the calls in the window was slow; needs `slow_call` | off |
/// | `slow_call` | from which time on a call is slow | off |
/// | `slow_in_flight` | flag: calls under way and overdue count as slow already | false |
/// | `window` | what rates are taken over: `100` calls, or `"30s"` | 100 calls |
/// | `min_calls` | so many calls must be in the window | 10 |
/// | `call_timeout` | a call that takes longer is cut off, and is a failure; where a future is returned | off |
/// | `cancel_failure_after` | a call that its caller gives up later than this is a failure, or `"never"`; where a future is returned | `slow_call`, else 1 s |
/// | `half_open_max_calls` | how many probes may run at once; at most 8,191 | 1 |
/// | `probe_timeout` | a probe that takes longer has failed | the largest of 60 s, `timeout`, twice `call_timeout`, twice `slow_call` |
/// | `backoff` | each further opening is longer by this factor; at least 1 | 1 |
/// | `max_timeout` | no opening is longer; at least `timeout` | off |
/// | `jitter` | an opening is longer or shorter by up to this share; below 1 | 0.1 where `backoff` is above 1, else 0 |
/// | `recovery_check` | the name of a health check that has to pass before a call is risked | none |
/// | `failure_if` | a path or a closure, `Fn(&Output) -> bool`: whether the call failed | `Err` is a failure |
/// | `ignore` | a path or a closure, `Fn(&E) -> bool`: whether this error says nothing | nothing |
/// | `fallback` | what a call that was not let through, or was cut off, returns: an expression with the arguments in scope, which may use `?` and (where the function is async) `.await`; or a closure that takes the [`CircuitBreakerError`] | none |
/// | `key` | an expression over the arguments, of a string or anything else that is `Display`: each key has a breaker of its own, `name[key]` | none |
/// | `max_keys` | at most so many of them; needs `key` | 1,000 |
/// | `critical` | flag | false |
/// | `shadow` | flag: it is evaluated and rejects nothing | false |
/// | `crate` | the path to avail, where it is not `::avail` | |
///
/// Durations are `"60s"`, `"1m 30s"`, `"500ms"`, or a number of seconds.
///
/// # Where it goes
///
/// On async and sync functions, free and associated, on methods with `self` in every form, on
/// generic and `unsafe` ones, and on those in a trait's implementation, `#[async_trait]` or not.
/// `return`, `?` and `.await` in the body work as before; attributes, docs, visibility and the
/// signature are kept.
///
/// A function that returns `impl Future`, `Pin<Box<dyn Future>>` or `BoxFuture` runs its body
/// eagerly, as written: the future that it returns is what is guarded. It is recognised by that
/// spelling; a future behind an alias is an error.
///
/// # On an `impl` block
///
/// ```
/// # type Row = u32; struct Store;
/// #[avail::circuit_breaker(prefix = "app", failure_threshold = 3)]
/// impl Store {
///     async fn row(&self, id: u64) -> std::io::Result<Row> {
///         // …
/// #       let _ = id; Ok(1)
///     }
///
///     fn len(&self) -> usize {
///         // …
/// #       0
///     }
///
///     #[avail(skip)]
///     fn parse(&self, text: &str) -> Result<Row, std::num::ParseIntError> {
///         text.parse()
///     }
/// }
/// ```
///
/// Each method whose declared type is called `Result`, or something that ends so (`io::Result`,
/// `StoreResult`), or a future of one, has a breaker of its own with these settings: here
/// `app::Store::row`, and `Store::row` without the `prefix`. `#[avail(skip)]` leaves a method out,
/// and one that carries the attribute itself keeps that alone. A block where no method is left is an
/// error.
///
/// # What it needs
///
/// A function that returns a `Result`, under any alias: `Err` is a failure. Its error type
/// implements `From<CircuitBreakerError>`, or the attribute has a `fallback`. With another type
/// there is a `fallback`, and one of `failure_if`, `call_timeout` and `slow_call_rate`: nothing but a
/// panic could trip it else.
///
/// ```
/// # async fn look_up(id: u64) -> Option<u32> { Some(id as u32) }
/// #[avail::circuit_breaker(call_timeout = "2s", failure_if = |found| found.is_none(), fallback = None)]
/// async fn find(id: u64) -> Option<u32> {
///     look_up(id).await
/// }
/// ```
///
/// An `Err` counts for nothing if it is the rejection of another breaker, further down, or was
/// caused by one, whatever `failure_if` says. That is seen where the error type implements
/// [`Error`](std::error::Error), or is `Box<dyn Error + Send + Sync>`, anyhow's, or another that is
/// `AsRef` of `dyn Error`; in a generic function, where its bounds say so; elsewhere, use `ignore`.
///
/// A panic is a failure, and unwinds on. A future that is dropped counts for nothing if it is young,
/// and as a failure if it is older than `cancel_failure_after`.
///
/// # When it answers
///
/// The `fallback` answers for the breaker alone: the operation's own error reaches the caller. It may
/// use every argument where a call was not let through. With `call_timeout` it also answers for a
/// body that had begun, and may use what that borrowed or copied, not what it consumed.
///
/// A `call_timeout` that is set by other means than the attribute holds for functions that return a
/// future, and where there is a `fallback`, for those whose attribute has the key too.
///
/// # Families
///
/// ```
/// # struct Request { tenant: String }
/// #[avail::circuit_breaker(name = "render", key = &request.tenant)]
/// async fn render(request: &Request) -> std::io::Result<String> {
///     // …
/// #   Ok(request.tenant.clone())
/// }
/// ```
///
/// A tenant that keeps failing is cut off alone. Where there are `max_keys` breakers, one that is
/// closed, has no failures in a row and no calls makes room; if there is none, further keys share
/// `render[*]`. For the monitor they are one component, `render`.
///
/// # Cost
///
/// The breaker is found at the first call and kept in a `static`: later calls look nothing up and
/// allocate nothing. Only a function that returns a boxed future pays for a second box, and one with
/// a `key` looks that up. The future of an async function is at most 64 bytes larger.
///
/// [`CircuitBreakerError`]: https://docs.rs/avail/latest/avail/enum.CircuitBreakerError.html
#[proc_macro_attribute]
pub fn circuit_breaker(args: TokenStream, item: TokenStream) -> TokenStream {
    circuit_breaker::expand(args.into(), &item.into()).into()
}

/// Makes a function a health check, which the monitor finds by itself and runs on a schedule.
///
/// ```
/// # async fn ping() -> std::io::Result<()> { Ok(()) }
/// #[avail::health_check(name = "storage", interval = "10s")]
/// async fn storage_answers() -> Result<(), std::io::Error> {
///     ping().await
/// }
/// ```
///
/// | key | value | default |
/// |---|---|---|
/// | `name` | a string, or the path to a `const` one | `module::path::function` |
/// | `critical` | flag, or `= false`: whether it decides the overall status | true |
/// | `interval` | how often it runs | the monitor's, 30 s |
/// | `timeout` | how long a run may take; shorter than the interval | the smaller of 5 s and half the interval |
/// | `degraded_after` | a run that takes longer is degraded | 1 s |
/// | `retry_interval` | how soon it runs again while it fails but is not yet down | the smaller of 2 s and the interval |
/// | `initial_delay` | how long the first run waits | 0 |
/// | `failure_threshold`, `success_threshold` | so many in a row mean down, or up again | 1, 1 |
/// | `depends_on` | the components that it can't work without: `["postgres"]`; while one of them is down, its incidents are that one's children | none |
/// | `probe` | which endpoint reads it: `"readiness"`, `"liveness"` (only for facts local to the process), `"startup"` or `"none"` | `"readiness"` |
/// | `slo` | the availability to reach, in percent: `99.95`, or `"99.95%"`; above 0 and below 100 | the monitor's target |
/// | `slo_window` | over how long | 30 days |
/// | `tags` | words to group components by: `["db"]` | none |
/// | `crate` | the path to avail, where it is not `::avail` | |
///
/// Durations are `"60s"`, `"1m 30s"`, `"500ms"`, or a number of seconds.
///
/// It goes on free functions without arguments or type parameters that return `()`, `bool`,
/// `Health`, or a `Result` of one of these. A function that is not async may block: it runs on the
/// blocking pool. The function stays callable as it was.
///
/// A check that needs an instance is registered by hand, with `HealthCheck::new`.
#[proc_macro_attribute]
pub fn health_check(args: TokenStream, item: TokenStream) -> TokenStream {
    health_check::expand(args.into(), &item.into()).into()
}
