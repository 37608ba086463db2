use super::*;
use crate::testing::isolated;
use crate::{AvailabilityMonitor, CircuitBreakerRegistry, Health, HealthCheck};

/// What the time is, in milliseconds, in each of these tests.
struct Clock(Instant);

impl Clock {
    fn at(&self, milliseconds: u64) -> Instant {
        self.0 + Duration::from_millis(milliseconds)
    }
}

fn clock() -> Clock {
    Clock(Instant::now())
}

async fn monitor(check: HealthCheck) -> AvailabilityMonitor {
    let builder = AvailabilityMonitor::builder().discover(false);
    let builder = builder.breakers(CircuitBreakerRegistry::new()).check(check);
    let monitor = builder.start().await.expect("it starts");
    tokio::time::sleep(Duration::from_secs(1)).await;
    monitor
}

/// The status of a monitor that has looked at one check that is well.
async fn well() -> SystemStatus {
    monitor(HealthCheck::new("db", || async { true })).await.status()
}

#[tokio::test(start_paused = true)]
async fn ready_is_said_once_when_it_has_started() {
    let _isolated = isolated();
    let (clock, status) = (clock(), well().await);
    let starting = SystemStatus { started: false, ready: false, ..status.clone() };
    let mut course = Course::new(None);
    assert_eq!(course.next(&starting, clock.at(0)).as_deref(), Some("STATUS=starting\n"));
    assert_eq!(course.next(&starting, clock.at(5_000)), None);
    let ready = course.next(&status, clock.at(5_001));
    assert_eq!(ready.as_deref(), Some("READY=1\nSTATUS=healthy\n"));
    assert_eq!(course.next(&status, clock.at(9_000)), None, "once");
}

#[tokio::test(start_paused = true)]
async fn stopping_is_said_once_and_ready_never_after_it() {
    let _isolated = isolated();
    let (clock, status) = (clock(), well().await);
    let draining = SystemStatus { draining: true, ready: false, ..status.clone() };
    let stopped = SystemStatus { running: false, ..draining.clone() };
    let mut course = Course::new(None);
    let first = course.next(&draining, clock.at(0));
    assert_eq!(first.as_deref(), Some("STOPPING=1\nSTATUS=draining\n"));
    let last = course.next(&stopped, clock.at(1_000));
    assert_eq!(last.as_deref(), Some("STATUS=stopped\n"));
    let mut at_once = Course::new(None);
    let only = at_once.next(&stopped, clock.at(0));
    assert_eq!(only.as_deref(), Some("STOPPING=1\nSTATUS=stopped\n"));
}

#[tokio::test(start_paused = true)]
async fn the_status_line_comes_when_it_has_changed_and_at_most_once_a_second() {
    let _isolated = isolated();
    let (clock, status) = (clock(), well().await);
    let not_ready = SystemStatus { ready: false, ..status.clone() };
    let mut course = Course::new(None);
    course.next(&status, clock.at(0)).expect("ready");
    assert_eq!(course.next(&not_ready, clock.at(999)), None, "it waits");
    let changed = course.next(&not_ready, clock.at(1_000));
    assert_eq!(changed.as_deref(), Some("STATUS=healthy, not ready\n"));
    assert_eq!(course.next(&status, clock.at(1_500)), None);
    assert_eq!(course.next(&not_ready, clock.at(3_000)), None, "as it was");
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_come_at_half_the_time_and_only_while_it_is_alive() {
    let _isolated = isolated();
    let (clock, status) = (clock(), well().await);
    let dead = SystemStatus { alive: false, ..status.clone() };
    let mut course = Course::new(Some(Duration::from_secs(3)));
    let mut signs = Vec::new();
    let mut now = 0;
    while now < 20_000 {
        let seen = if (6_000..15_200).contains(&now) { &dead } else { &status };
        if course.next(seen, clock.at(now)).is_some_and(|told| told.contains("WATCHDOG=1\n")) {
            signs.push(now);
        }
        let next = course.look_at(clock.at(now)).duration_since(clock.0).as_millis() as u64;
        assert!(next > now && next <= now + 1_000, "{now} {next}");
        now = next;
    }
    assert_eq!(signs, [0, 1_500, 3_000, 4_500, 16_000, 17_500, 19_000]);

    let mut unwatched = Course::new(None);
    let told = unwatched.next(&status, clock.at(0)).expect("ready");
    assert!(!told.contains("WATCHDOG"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_is_unwell_is_named_in_one_line_whatever_it_is_called() {
    let _isolated = isolated();
    let monitor = monitor(HealthCheck::new("db", || async { false })).await;
    for number in 0..3 {
        monitor.check_health(format!("cache{number}"), || async { Health::degraded("full") }).await;
    }
    monitor.check_health("cache9", || async { true }).await;
    let told = Course::new(None).next(&monitor.status(), clock().at(0)).expect("a line");
    let all = "STATUS=starting: cache0 degraded, cache1 degraded, cache2 degraded, db unknown\n";
    assert_eq!(told, all.replace("db unknown", "db unhealthy"));

    monitor.check_health("a\nMAINPID=1", || async { false }).await;
    monitor.check_health("z", || async { false }).await;
    monitor.fatal("out of ideas");
    let told = Course::new(None).next(&monitor.status(), clock().at(0)).expect("a line");
    assert_eq!(
        told,
        "STATUS=starting, not alive: a MAINPID=1 unhealthy, cache0 degraded, cache1 degraded, \
         cache2 degraded, db unhealthy and 1 more\n"
    );
    assert!(!told.contains("out of ideas"), "texts are for those who may see them");
}
