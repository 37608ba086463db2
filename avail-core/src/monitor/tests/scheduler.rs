//! When checks run.

use std::sync::Mutex;

use tokio::time::Instant;

use super::*;

const MANY: usize = 10_000;

/// When each run of each check began, in milliseconds since the start.
#[derive(Clone, Default)]
struct Starts(Arc<Mutex<Vec<Vec<u64>>>>);

impl Starts {
    fn of(checks: usize) -> Self {
        Starts(Arc::new(Mutex::new(vec![Vec::new(); checks])))
    }

    fn note(&self, check: usize, since: Instant) {
        let at = Instant::now().duration_since(since).as_millis() as u64;
        self.0.lock().expect("nobody panics")[check].push(at);
    }

    fn by_check(&self) -> Vec<Vec<u64>> {
        self.0.lock().expect("nobody panics").clone()
    }

    /// How many began in each second.
    fn by_second(&self, seconds: usize) -> Vec<usize> {
        let mut counts = vec![0; seconds + 1];
        for start in self.by_check().into_iter().flatten() {
            counts[(start / 1000) as usize] += 1;
        }
        counts
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_checks_keep_their_interval_and_do_not_come_all_at_once() {
    const INTERVALS: usize = 12;
    const SECONDS: usize = INTERVALS * 30;
    let _isolated = isolated();
    let (starts, origin) = (Starts::of(MANY), Instant::now());
    let checks = (0..MANY).map(|number| {
        let starts = starts.clone();
        HealthCheck::new(format!("c{number}"), move || {
            starts.note(number, origin);
            async {}
        })
    });
    let monitor = checks.fold(builder(), AvailabilityMonitorBuilder::check).start().await;
    let monitor = monitor.expect("starts");
    tokio::time::sleep(seconds(SECONDS as u64)).await;
    assert!(monitor.status().started);
    monitor.stop().await;

    let by_second = starts.by_second(SECONDS);
    assert_eq!(by_second[0], MANY, "each runs at once");
    // A tenth to either side of 30 s is 6 s, so at first a sixth of them begin in a second.
    let busiest = |from: usize, to: usize| by_second[from..to].iter().max().copied().unwrap_or(0);
    assert_eq!(by_second[1..27].iter().sum::<usize>(), 0);
    assert!(busiest(27, SECONDS) < MANY / 5, "{by_second:?}");
    // They spread from interval to interval: a third less in a second than at first.
    assert!(busiest(SECONDS - 60, SECONDS) < MANY / 9, "{:?}", &by_second[SECONDS - 60..]);

    let (mut whole, mut pauses) = (0, 0);
    for of_one in starts.by_check() {
        let runs = of_one.len();
        assert!((INTERVALS - 1..=INTERVALS + 2).contains(&runs), "{runs} runs: {of_one:?}");
        let apart = of_one.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(apart.clone().all(|ms| (26_998..=33_002).contains(&ms)), "{of_one:?}");
        whole += apart.sum::<u64>();
        pauses += runs - 1;
    }
    let mean = whole as f64 / pauses as f64;
    // The mean of 110,000 pauses, each of which is spread evenly over 6 s, is known to 5 ms; and
    // those that are longer than the rest of the time are missing.
    assert!((mean - 30_000.0).abs() < 60.0, "{mean} ms");
}

#[tokio::test(start_paused = true)]
async fn how_long_a_run_takes_does_not_move_the_next() {
    let _isolated = isolated();
    let (starts, origin) = (Starts::of(1), Instant::now());
    let noted = starts.clone();
    let check = HealthCheck::new("slow", move || {
        noted.note(0, origin);
        tokio::time::sleep(seconds(4))
    });
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    tokio::time::sleep(seconds(10_000)).await;
    monitor.stop().await;
    let runs = starts.by_check()[0].len();
    // The sum of a thousand pauses is 10,000 s, give or take 18 s.
    assert!((990..=1_010).contains(&runs), "{runs}");
}

#[tokio::test(start_paused = true)]
async fn a_first_run_may_be_told_to_wait() {
    let _isolated = isolated();
    let (check, runs) = counted("late", |_| Health::healthy());
    let monitor = builder().check(check.initial_delay(seconds(7))).start().await.expect("starts");
    settle().await;
    for _ in 0..6 {
        pass(seconds(1)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 0);
    }
    pass(Duration::from_millis(1_001)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn so_many_successes_in_a_row_bring_it_up_again() {
    let _isolated = isolated();
    let (check, runs) = counted("db", |run| match run {
        1 | 3 => Health::unhealthy("refused"),
        _ => Health::healthy(),
    });
    let check = check.interval(seconds(10)).success_threshold(2);
    let monitor = builder().check(check).start().await.expect("starts");
    settle().await;
    let mut shown = vec![status_of(&monitor, "db")];
    while shown.len() < 7 {
        let before = runs.load(Ordering::SeqCst);
        while runs.load(Ordering::SeqCst) == before {
            pass(seconds(1)).await;
        }
        shown.push(status_of(&monitor, "db"));
    }
    use HealthStatus::{Healthy, Unhealthy};
    let expected = [Healthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy, Healthy];
    assert_eq!(shown, expected, "after + - + - + + +");
}

#[tokio::test(start_paused = true)]
async fn one_that_falls_silent_is_unknown_and_one_that_hangs_is_not() {
    let _isolated = isolated();
    let (silent, _) = counted("silent", |_| Health::healthy());
    let hangs = HealthCheck::new("hangs", std::future::pending::<()>);
    let each = |check: HealthCheck| check.interval(seconds(10)).timeout(seconds(2));
    let builder = builder().startup_grace(Duration::ZERO);
    let monitor = builder.check(each(silent)).check(each(hangs)).start().await.expect("starts");
    settle().await;
    monitor.inner.unschedule("silent");
    for _ in 0..29 {
        pass(seconds(1)).await;
    }
    assert_eq!(status_of(&monitor, "silent"), HealthStatus::Healthy);
    for _ in 0..2 {
        pass(seconds(1)).await;
    }
    assert_eq!(status_of(&monitor, "silent"), HealthStatus::Unknown);
    assert_eq!(status_of(&monitor, "hangs"), HealthStatus::Unhealthy);
    let silent = monitor.component_metrics("silent", Window::ALL_TIME).expect("known");
    assert_eq!((silent.uptime_seconds, silent.unobserved_seconds), (10.0, 21.0));
}

/// A check whose first run holds a thread until it is told to end. Gives how many runs have begun,
/// how many are under way, and at most were.
fn holds_a_thread(blocking: bool) -> (HealthCheck, Arc<[AtomicUsize; 3]>, mpsc::Sender<()>) {
    let counts: Arc<[AtomicUsize; 3]> = Arc::default();
    let (release, gate) = mpsc::channel::<()>();
    let (seen, gate) = (counts.clone(), Arc::new(Mutex::new(gate)));
    let run = move || {
        let [begun, under_way, most] = &*seen;
        let first = begun.fetch_add(1, Ordering::SeqCst) == 0;
        most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if first {
            let _ = gate.lock().expect("only here").recv();
        }
        under_way.fetch_sub(1, Ordering::SeqCst);
    };
    let check = match blocking {
        true => HealthCheck::blocking("disk", run),
        false => HealthCheck::new("disk", move || {
            let run = run.clone();
            async move { run() }
        }),
    };
    (check, counts, release)
}

/// Really waits, and not for long: the code that holds a thread knows nothing of paused time.
async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_registered_again_while_a_run_hangs_waits_for_it() {
    for blocking in [true, false] {
        let (check, counts, release) = holds_a_thread(blocking);
        let check = check.interval(Duration::from_millis(40)).timeout(Duration::from_millis(10));
        let monitor = builder().check(check.clone()).start().await.expect("starts");
        until(|| counts[0].load(Ordering::SeqCst) == 1).await;
        assert!(monitor.unregister("disk"));
        monitor.register(check).expect("the name is free");
        until(|| class_of(&monitor, "disk") == Some(FailureClass::Hung)).await;
        assert_eq!(counts[0].load(Ordering::SeqCst), 1, "no second run begins");
        release.send(()).expect("it waits");
        until(|| status_of(&monitor, "disk") == HealthStatus::Healthy).await;
        assert_eq!(counts[2].load(Ordering::SeqCst), 1, "never two at a time");
        monitor.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_registered_again_during_a_run_does_not_fail_for_it() {
    let _isolated = isolated();
    let check = HealthCheck::new("db", || tokio::time::sleep(Duration::from_millis(500)));
    let monitor = builder().check(check.clone()).start().await.expect("starts");
    settle().await;
    monitor.unregister("db");
    monitor.register(check).expect("the name is free");
    settle().await;
    pass(Duration::from_millis(501)).await;
    let all = monitor.recent_checks(10);
    assert_eq!((all.len(), all[0].status), (1, HealthStatus::Healthy));
}

#[tokio::test(start_paused = true)]
async fn names_that_come_and_go_leave_nothing_behind() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    for number in 0..1_000 {
        let (check, _) = counted(&format!("job {number}"), |_| Health::healthy());
        monitor.register(check).expect("the name is free");
        settle().await;
        monitor.unregister(&format!("job {number}"));
        settle().await;
    }
    assert!(monitor.inner.known_slots() <= 65, "{}", monitor.inner.known_slots());
}
