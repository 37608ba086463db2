//! What a circuit breaker must survive: twenty points, each of which breaks a published one. Point
//! 13, the live heap, needs an allocator that counts, and so a program of its own: `heap.rs`.
#![cfg(all(feature = "macros", feature = "test-util"))]

use std::future::pending;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use avail::{
    AvailabilityMonitor, CallError, CircuitBreaker, CircuitBreakerConfig,
    CircuitBreakerConfigBuilder, CircuitBreakerError, CircuitState, MonitorError, OpenReason,
    Outcome, Permit, testing,
};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{advance, timeout};

const OPEN_TIME: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(60);
/// From when on a call that is given up is a failure.
const LATE: Duration = Duration::from_secs(1);
const EARLY: Duration = Duration::from_millis(999);

/// Three failures open it for ten seconds, one success closes it.
fn streak() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder().failure_threshold(3).success_threshold(1).timeout(OPEN_TIME)
}

/// Half of the calls in the window, once there are ten.
fn rate() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder().failure_rate(0.5).success_threshold(1).timeout(OPEN_TIME)
}

fn breaker(config: CircuitBreakerConfigBuilder) -> CircuitBreaker {
    CircuitBreaker::new("storage", config.build().expect("a valid configuration"))
}

/// The next call probes it.
async fn about_to_probe(config: CircuitBreakerConfigBuilder) -> CircuitBreaker {
    let breaker = breaker(config);
    breaker.trip();
    advance(OPEN_TIME).await;
    breaker
}

async fn fail(breaker: &CircuitBreaker) {
    let result = breaker.call(|| async { Err::<(), _>("refused") }).await;
    assert_eq!(result, Err(CallError::Operation("refused")));
}

async fn succeed(breaker: &CircuitBreaker) {
    assert_eq!(breaker.call(|| async { Ok::<_, &str>(()) }).await, Ok(()));
}

async fn hang(breaker: &CircuitBreaker) -> Result<(), CallError<&'static str>> {
    breaker.call(pending::<Result<(), &str>>).await
}

type Calls = Vec<tokio::task::JoinHandle<Result<(), CallError<&'static str>>>>;

/// Calls that are under way, each in a task of its own, until they are told to fail.
async fn waiting_calls(
    isolated: &testing::Isolated,
    breaker: &CircuitBreaker,
    count: usize,
) -> (watch::Sender<()>, Calls) {
    let (refuse, refused) = watch::channel(());
    let begin = || {
        let (inside, mut refused) = (breaker.clone(), refused.clone());
        let waits = async move {
            refused.changed().await.expect("they are told");
            Err("refused")
        };
        isolated.spawn(async move { inside.call(|| waits).await })
    };
    let calls = (0..count).map(|_| begin()).collect();
    for _ in 0..count {
        tokio::task::yield_now().await; // until each of them waits
    }
    (refuse, calls)
}

fn retry_after(breaker: &CircuitBreaker) -> Option<Duration> {
    breaker.acquire().expect_err("it rejects").retry_after()
}

/// Its slots are free, nothing was decided, and the next probe closes it.
async fn assert_still_probing(breaker: &CircuitBreaker) {
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.probes_in_flight), (CircuitState::HalfOpen, 0));
    succeed(breaker).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// 1
#[tokio::test(start_paused = true)]
async fn after_a_thousand_cancelled_probes_the_next_is_admitted_at_once() {
    let isolated = testing::isolated();
    let breaker = about_to_probe(streak()).await;
    for _ in 0..1_000 {
        let inside = breaker.clone();
        let probe = isolated.spawn(async move { hang(&inside).await });
        tokio::task::yield_now().await;
        assert_eq!(breaker.metrics().probes_in_flight, 1);
        probe.abort();
        assert!(probe.await.expect_err("it was aborted").is_cancelled());
    }
    assert_eq!(breaker.metrics().calls.cancelled, 1_000);
    assert_still_probing(&breaker).await;
}

/// 2
#[tokio::test(start_paused = true)]
async fn an_outer_timeout_on_a_hung_dependency_trips_within_the_threshold() {
    let _isolated = testing::isolated();
    for (config, failures) in [(streak(), 3), (rate(), 10)] {
        let breaker = breaker(config);
        for _ in 0..failures {
            assert_eq!(breaker.state(), CircuitState::Closed);
            timeout(Duration::from_secs(2), hang(&breaker)).await.expect_err("it hangs");
        }
        let rejected = timeout(Duration::from_secs(2), hang(&breaker)).await.expect("at once");
        assert!(matches!(rejected, Err(CallError::CircuitBreaker(_))));
        assert_eq!(breaker.metrics().calls.cancelled_overdue, failures);
    }
}

/// 3
#[tokio::test(start_paused = true)]
async fn an_aborted_task_a_select_loser_and_a_client_that_hangs_up_give_their_slots_back() {
    let isolated = testing::isolated();
    let breaker = about_to_probe(streak()).await;

    let inside = breaker.clone();
    let task = isolated.spawn(async move { hang(&inside).await });
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.expect_err("it was aborted").is_cancelled());

    tokio::select! {
        biased;
        _ = hang(&breaker) => unreachable!("it hangs"),
        () = async {} => {}
    }

    let (client, mut connection) = tokio::io::duplex(64);
    let inside = breaker.clone();
    let server = isolated.spawn(async move {
        tokio::select! {
            biased;
            _ = hang(&inside) => unreachable!("it hangs"),
            read = connection.read_u8() => read.expect_err("nobody writes"),
        }
    });
    tokio::task::yield_now().await;
    assert_eq!(breaker.metrics().probes_in_flight, 1);
    drop(client);
    server.await.expect("it ends by itself");

    assert_eq!(breaker.metrics().calls.cancelled, 3);
    assert_still_probing(&breaker).await;
}

/// 4
#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_unwinds_on_in_closed_and_in_a_probe() {
    let isolated = testing::isolated();
    for probes in [false, true] {
        let breaker = breaker(streak().failure_threshold(1));
        if probes {
            breaker.trip();
            advance(OPEN_TIME).await;
        }
        let inside = breaker.clone();
        let task = isolated.spawn(async move {
            let panics = || async {
                tokio::task::yield_now().await;
                if inside.name() == "storage" {
                    panic!("the operation's own");
                }
                Ok::<_, &str>(())
            };
            let _ = inside.call(panics).await;
        });
        let payload = task.await.expect_err("it panics").into_panic();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"the operation's own"));
        let metrics = breaker.metrics();
        assert_eq!((metrics.state, metrics.calls.panic), (CircuitState::Open, 1));
        assert_eq!(retry_after(&breaker), Some(OPEN_TIME));
        advance(OPEN_TIME).await;
        succeed(&breaker).await;
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}

/// 5
#[tokio::test(start_paused = true)]
async fn a_hung_probe_reopens_when_its_lease_ends_and_its_late_success_changes_nothing() {
    let isolated = testing::isolated();
    let breaker = about_to_probe(streak()).await;
    let (answer, answered) = tokio::sync::oneshot::channel::<()>();
    let inside = breaker.clone();
    let probe = isolated
        .spawn(async move { inside.call(|| async { answered.await.map_err(|_| "gone") }).await });
    tokio::task::yield_now().await;
    advance(LEASE - Duration::from_millis(1)).await;
    assert_eq!(retry_after(&breaker), None);
    advance(Duration::from_secs(3)).await;
    let left = OPEN_TIME - Duration::from_millis(2_999);
    assert_eq!(retry_after(&breaker), Some(left), "it runs from the end of the lease");

    answer.send(()).expect("it still waits");
    assert_eq!(probe.await.expect("no panic"), Ok(()));
    assert_eq!((retry_after(&breaker), breaker.metrics().calls.stale), (Some(left), 1));
    advance(left).await;
    succeed(&breaker).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// 6
#[tokio::test(start_paused = true)]
async fn a_result_of_an_earlier_epoch_changes_nothing_in_any_later_state() {
    let _isolated = testing::isolated();
    let ends: [fn(Permit); 4] = [Permit::success, Permit::failure, Permit::ignore, drop];
    for end in ends {
        let breaker = breaker(streak().failure_threshold(1).failure_rate(0.01).min_calls(1));
        let [in_open, in_half_open, in_closed] =
            [(); 3].map(|()| breaker.acquire().expect("closed"));
        breaker.trip();
        advance(LATE).await;
        let before = (retry_after(&breaker), breaker.failure_count());
        end(in_open);
        assert_eq!((retry_after(&breaker), breaker.failure_count()), before);

        advance(OPEN_TIME).await;
        let probe = breaker.acquire().expect("a probe");
        end(in_half_open);
        let metrics = breaker.metrics();
        assert_eq!((metrics.state, metrics.probes_in_flight), (CircuitState::HalfOpen, 1));

        probe.success();
        end(in_closed);
        assert_eq!((breaker.state(), breaker.failure_count()), (CircuitState::Closed, 0));
        assert_eq!(breaker.metrics().calls.stale, 3);
    }
}

/// 7
#[tokio::test(start_paused = true)]
async fn after_a_million_successes_failures_trip_within_one_window() {
    let _isolated = testing::isolated();
    let (calls, time) = (rate().window(20), rate().window(Duration::from_secs(1)));
    for (config, most) in [(streak(), 3), (calls, 10), (time, 20)] {
        let breaker = breaker(config);
        for call in 0..1_000_000 {
            if call % 1_000 == 0 {
                advance(Duration::from_secs(1)).await;
            }
            breaker.call_sync(|| Ok::<_, &str>(())).expect("closed");
        }
        advance(Duration::from_secs(2)).await;
        let mut failures = 0;
        while breaker.state() == CircuitState::Closed {
            fail(&breaker).await;
            failures += 1;
            assert!(failures <= most, "{failures} failures and still closed");
        }
        assert_eq!(breaker.metrics().calls.success, 1_000_000);
    }
}

/// 8
#[tokio::test(start_paused = true)]
async fn a_burst_of_failures_within_one_millisecond_trips() {
    let isolated = testing::isolated();
    let over_time = rate().window(Duration::from_secs(10));
    for config in [streak(), rate(), over_time] {
        let breaker = breaker(config);
        let together = Arc::new(tokio::sync::Barrier::new(20));
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let (inside, together) = (breaker.clone(), together.clone());
                isolated.spawn(async move {
                    let refused = || async {
                        together.wait().await;
                        Err::<(), _>("refused")
                    };
                    inside.call(refused).await
                })
            })
            .collect();
        for call in calls {
            let result = call.await.expect("no panic");
            assert_eq!(result, Err(CallError::Operation("refused")));
        }
        let metrics = breaker.metrics();
        assert_eq!(metrics.state, CircuitState::Open);
        assert_eq!(metrics.calls.failure + metrics.calls.stale, 20);
        assert!(metrics.calls.stale >= 10, "those that came after the trip");
    }
}

/// 9
#[tokio::test(start_paused = true)]
async fn late_failures_do_not_lengthen_the_open_time() {
    let isolated = testing::isolated();
    let breaker = breaker(streak());
    let (refuse, calls) = waiting_calls(&isolated, &breaker, 100).await;
    breaker.trip();
    advance(OPEN_TIME - Duration::from_secs(1)).await;
    refuse.send(()).expect("they wait");
    for call in calls {
        assert_eq!(call.await.expect("no panic"), Err(CallError::Operation("refused")));
    }
    assert_eq!(breaker.metrics().calls.stale, 100);
    assert_eq!(retry_after(&breaker), Some(Duration::from_secs(1)));
    advance(Duration::from_secs(1)).await;
    succeed(&breaker).await;
}

/// 10
#[tokio::test(start_paused = true)]
async fn a_forced_opening_outlives_ten_open_times() {
    let _isolated = testing::isolated();
    let breaker = breaker(streak());
    breaker.force_open("deploying");
    for _ in 0..10 {
        advance(OPEN_TIME + Duration::from_secs(1)).await;
        let error = breaker.acquire().expect_err("forced open");
        assert_eq!(error.to_string(), "circuit breaker `storage` is open: forced open: deploying");
    }
    breaker.clear_override();
    succeed(&breaker).await;
}

/// 11
#[tokio::test(start_paused = true)]
async fn of_many_threads_at_the_edge_exactly_as_many_as_may_are_admitted() {
    let _isolated = testing::isolated();
    let runtime = tokio::runtime::Handle::current();
    for limit in [1_u32, 3] {
        for _ in 0..50 {
            let config = streak().half_open_max_calls(limit).success_threshold(limit);
            let breaker = about_to_probe(config).await;
            let (together, admitted) = (Barrier::new(8), Mutex::new(Vec::new()));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let _time = runtime.enter(); // paused here as well
                        together.wait();
                        let permit = breaker.acquire();
                        admitted.lock().expect("no panic").extend(permit);
                    });
                }
            });
            let admitted = admitted.into_inner().expect("no panic");
            assert_eq!(admitted.len(), limit as usize);
            assert_eq!(breaker.metrics().rejections.half_open, 8 - u64::from(limit));
            admitted.into_iter().for_each(Permit::success);
            assert_eq!(breaker.state(), CircuitState::Closed);
        }
    }
}

/// 12
#[tokio::test(start_paused = true)]
async fn counters_can_neither_wrap_nor_be_settled_twice() {
    const MOST: u32 = 8_191;
    let _isolated = testing::isolated();
    let too_many = CircuitBreakerConfig::builder().half_open_max_calls(MOST + 1).build();
    assert!(too_many.expect_err("it can not be counted").to_string().contains("8191"));

    let config = streak().half_open_max_calls(MOST).success_threshold(MOST);
    let breaker = about_to_probe(config).await;
    let probes: Vec<_> = (0..MOST).map(|_| breaker.acquire().expect("a probe")).collect();
    breaker.acquire().expect_err("all of them are under way");
    assert_eq!(breaker.metrics().probes_in_flight, MOST);
    // A permit is used up by its word, so that its drop says nothing more.
    probes.into_iter().for_each(Permit::ignore);
    assert_eq!(breaker.metrics().probes_in_flight, 0);
    for _ in 1..MOST {
        succeed(&breaker).await;
    }
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    succeed(&breaker).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    let calls = breaker.metrics().calls;
    let settled: u64 = calls.by_outcome().iter().map(|(_, count)| count).sum();
    assert_eq!((calls.ignored, calls.success), (u64::from(MOST), u64::from(MOST)));
    assert_eq!(settled, 2 * u64::from(MOST));
}

/// 14
#[tokio::test(start_paused = true)]
async fn a_listener_that_reenters_and_panics_leaves_the_call_untouched() {
    let _isolated = testing::isolated();
    let breaker = breaker(streak().failure_threshold(1));
    let inside = breaker.clone();
    let _hostile = breaker.subscribe(move |event| {
        if event.to == CircuitState::Open {
            inside.acquire().expect_err("open");
            inside.reset();
            inside.acquire().expect("closed").success();
        }
        panic!("a listener's own fault");
    });
    let heard: Arc<Mutex<Vec<_>>> = Arc::default();
    let list = heard.clone();
    let _subscription = breaker.subscribe(move |event| {
        list.lock().expect("no panic").push((event.sequence, event.to));
    });
    fail(&breaker).await;
    succeed(&breaker).await;
    let expected = [(1, CircuitState::Open), (2, CircuitState::Closed)];
    assert_eq!(*heard.lock().expect("no panic"), expected);
}

/// 15: exporters make the one-hot gauge of one state; here that state and the counters agree.
#[tokio::test(start_paused = true)]
async fn after_three_cycles_state_and_transitions_agree_and_every_pair_is_listed() {
    let _isolated = testing::isolated();
    let breaker = breaker(streak());
    for cycle in 0..=3 {
        let metrics = breaker.metrics();
        assert_eq!(metrics.state, CircuitState::Closed);
        let listed: Vec<_> = metrics.transitions.iter().map(|one| (one.from, one.to)).collect();
        let pairs = CircuitState::ALL
            .into_iter()
            .flat_map(|from| CircuitState::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from != to);
        assert!(pairs.eq(listed));
        for state in CircuitState::ALL {
            let sum = |of: fn(&avail::TransitionCount) -> CircuitState| -> u64 {
                let ends = metrics.transitions.iter().filter(|one| of(one) == state);
                ends.map(|one| one.count).sum()
            };
            assert_eq!(sum(|one| one.to), sum(|one| one.from), "{state} after {cycle} cycles");
            let left = [cycle, cycle * 2, cycle * 2][state as usize];
            assert_eq!(sum(|one| one.from), left, "{state} after {cycle} cycles");
        }
        let spent = metrics.state_seconds;
        assert_eq!((spent.closed, spent.open, spent.half_open), (0.0, 20.0 * cycle as f64, 0.0));

        for _ in 0..3 {
            fail(&breaker).await;
        }
        advance(OPEN_TIME).await;
        fail(&breaker).await;
        advance(OPEN_TIME).await;
        succeed(&breaker).await;
    }
}

/// 16
#[tokio::test(start_paused = true)]
async fn other_settings_while_open_keep_the_open_time_the_windows_and_the_epoch() {
    let _isolated = testing::isolated();
    let breaker = breaker(rate());
    for _ in 0..10 {
        fail(&breaker).await;
    }
    advance(Duration::from_secs(4)).await;
    let longer = rate().timeout(OPEN_TIME * 10).build().expect("valid");
    breaker.reconfigure(longer.clone()).expect("valid");
    assert_eq!(retry_after(&breaker), Some(OPEN_TIME - Duration::from_secs(4)));
    let reason = OpenReason::FailureRate { failed: 10, calls: 10 };
    assert_eq!(breaker.metrics().reason, Some(reason));

    advance(OPEN_TIME - Duration::from_secs(4)).await;
    let probe = breaker.acquire().expect("a probe");
    breaker.reconfigure(rate().build().expect("valid")).expect("valid");
    probe.success();
    assert_eq!((breaker.state(), breaker.metrics().calls.stale), (CircuitState::Closed, 0));

    for _ in 0..9 {
        fail(&breaker).await;
    }
    let under_way = breaker.acquire().expect("closed");
    breaker.reconfigure(longer).expect("valid");
    under_way.failure();
    assert_eq!((breaker.state(), breaker.metrics().calls.stale), (CircuitState::Open, 0));
    assert_eq!(retry_after(&breaker), Some(OPEN_TIME * 10));
}

/// 17
#[tokio::test(start_paused = true)]
async fn it_follows_paused_time_and_does_not_notice_a_jump_of_the_wall_clock() {
    let isolated = testing::isolated();
    let year = Duration::from_secs(365 * 86_400);
    let breaker = breaker(rate().window(OPEN_TIME).min_calls(3).failure_threshold(4));
    for jump in [testing::Isolated::set_wall_clock_forward, testing::Isolated::set_wall_clock_back]
    {
        breaker.reset();
        fail(&breaker).await;
        jump(&isolated, year);
        fail(&breaker).await;
        fail(&breaker).await; // all three are in the window still
        assert_eq!(breaker.state(), CircuitState::Open);
        jump(&isolated, year);
        assert_eq!(retry_after(&breaker), Some(OPEN_TIME));
        advance(OPEN_TIME - Duration::from_millis(1)).await;
        assert_eq!(retry_after(&breaker), Some(Duration::from_millis(1)));
        advance(Duration::from_millis(1)).await;
        let probe = breaker.acquire().expect("a probe");
        jump(&isolated, LEASE * 2);
        breaker.acquire().expect_err("its lease has not ended");
        probe.success();
        assert_eq!(breaker.state(), CircuitState::Closed);
    }
}

#[avail::circuit_breaker(name = "survives::shared", failure_threshold = 1)]
#[expect(dead_code, reason = "it is enough that they are declared")]
fn reads() -> Result<(), CircuitBreakerError> {
    Ok(())
}

#[avail::circuit_breaker(name = "survives::shared", failure_threshold = 2)]
#[expect(dead_code, reason = "it is enough that they are declared")]
fn writes() -> Result<(), CircuitBreakerError> {
    Ok(())
}

/// 18
#[tokio::test(start_paused = true)]
async fn one_name_with_two_configurations_is_an_error_at_startup_that_names_both_places() {
    let _isolated = testing::isolated();
    let error = AvailabilityMonitor::builder().start().await.expect_err("they contradict");
    let MonitorError::ConflictingBreakers(conflict) = &error else { panic!("{error}") };
    assert_eq!(&*conflict.name, "survives::shared");
    let message = error.to_string();
    assert_eq!(message.matches("tests/survives.rs:").count(), 2, "{message}");
    for place in ["`survives::reads`", "`survives::writes`"] {
        assert!(message.contains(place), "{message}");
    }
    assert_ne!(conflict.first, conflict.second);
}

/// 19
#[tokio::test(start_paused = true)]
async fn an_ignored_error_while_half_open_neither_closes_nor_wedges_it() {
    let _isolated = testing::isolated();
    let breaker = about_to_probe(streak()).await;
    for _ in 0..100 {
        let not_found = || async { Err::<(), _>("not found") };
        let result = breaker.call_classified(not_found, |_| Outcome::Ignored).await;
        assert_eq!(result, Ok(Err("not found")));
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
    }
    assert_eq!(breaker.metrics().calls.ignored, 100);
    assert_still_probing(&breaker).await;
}

/// 20
#[tokio::test(start_paused = true)]
async fn a_call_longer_than_the_window_still_counts() {
    let isolated = testing::isolated();
    let window = Duration::from_secs(1);
    let slow = CircuitBreakerConfig::builder().slow_call_rate(1.0).slow_call(EARLY).min_calls(4);
    let cases = [
        (rate().min_calls(4), OpenReason::FailureRate { failed: 4, calls: 4 }),
        (slow, OpenReason::SlowCallRate { slow: 4, calls: 4 }),
    ];
    for (config, reason) in cases {
        let breaker = breaker(config.window(window));
        let (refuse, calls) = waiting_calls(&isolated, &breaker, 4).await;
        advance(window * 100).await;
        refuse.send(()).expect("they wait");
        for call in calls {
            assert_eq!(call.await.expect("no panic"), Err(CallError::Operation("refused")));
        }
        assert_eq!(breaker.metrics().reason, Some(reason));
    }
}
