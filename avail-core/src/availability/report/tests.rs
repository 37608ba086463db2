use std::time::Duration;

use super::*;
use crate::availability::checks::CheckCounts;
use crate::availability::metrics::Counted;
use crate::availability::moment::Moment;
use crate::availability::slo::Objective;
use crate::availability::timeline::{ComponentState, Timeline};

const DAY: i64 = 86_400_000;

fn entry(name: &str, changes: &[(i64, ComponentState)], counted: Counted) -> ReportEntry {
    let mut timeline = Timeline::new(Moment(changes[0].0), changes[0].1);
    for &(at, state) in &changes[1..] {
        timeline.set_from(Moment(at), state);
    }
    let now = Moment(DAY);
    let day = [Window::HOURS_24];
    let [metrics] = AvailabilityMetrics::in_windows(&timeline, day, [counted], now);
    let slo = Slo::of(Objective::of_target(99.9), &timeline, now);
    ReportEntry { name: name.into(), critical: true, metrics, slo }
}

fn report() -> AvailabilityReport {
    use ComponentState::{Degraded, Down, Unobserved, Up};
    let counted = |checks: (u64, u64), calls: (u64, u64)| {
        let [checks, calls] =
            [checks, calls].map(|(successful, failed)| CheckCounts { successful, failed });
        Counted { checks, calls }
    };
    let storage =
        [(0, Up), (3_600_000, Down), (3_660_500, Up), (7_200_000, Degraded), (7_230_000, Up)];
    let embedder = [(DAY / 2, Up)];
    let nobody = [(0, Unobserved)];
    AvailabilityReport {
        window: Window::HOURS_24,
        from: Moment(0).to_datetime(),
        to: Moment(DAY).to_datetime(),
        system: entry("", &storage, counted((4_317, 7), (980, 20))),
        components: vec![
            entry("embedder", &embedder, counted((1_440, 0), (0, 0))),
            entry("new\nline", &nobody, counted((0, 0), (0, 0))),
            entry("storage", &storage, counted((2_877, 7), (980, 20))),
        ],
    }
}

#[test]
fn a_report_is_two_tables_that_a_person_can_paste() {
    let expected = "\
Availability from 1970-01-01 00:00:00 to 1970-01-02 00:00:00 UTC (24h)

            available   coverage            up  degraded         down  maintenance  unobserved
the system   99.929 %  100.000 %  23:58:29.500   0:00:30  0:01:00.500      0:00:00     0:00:00
embedder    100.000 %   50.000 %      12:00:00   0:00:00      0:00:00      0:00:00    12:00:00
new\u{fffd}line            -    0.000 %       0:00:00   0:00:00      0:00:00      0:00:00  1d 0:00:00
storage      99.929 %  100.000 %  23:58:29.500   0:00:30  0:01:00.500      0:00:00     0:00:00

            incidents          MTBF         MTTR      longest  objective  budget left  alert  checks ok  calls ok
the system          1  23:58:59.500  0:01:00.500  0:01:00.500     99.9 %     29.976 %      -  4317/4324  98.000 %
embedder            0     >12:00:00            -            -     99.9 %    100.000 %      -  1440/1440         -
new\u{fffd}line            0             -            -            -     99.9 %            -      -          -         -
storage             1  23:58:59.500  0:01:00.500  0:01:00.500     99.9 %     29.976 %      -  2877/2884  98.000 %
";
    let shown = report().to_string();
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn a_report_serialises_with_all_that_it_shows() {
    let json = serde_json::to_value(report()).expect("JSON");
    assert_eq!((&json["window"], &json["to"]), (&"24h".into(), &"1970-01-02T00:00:00Z".into()));
    let storage = &json["components"][2];
    assert_eq!((&storage["name"], &storage["critical"]), (&"storage".into(), &true.into()));
    assert_eq!(storage["metrics"]["downtime_seconds"], 60.5);
    assert_eq!(storage["metrics"]["mtbf"], 86_339.5);
    assert_eq!(storage["metrics"]["success_ratio"], 0.98);
    assert_eq!(storage["slo"]["error_budget"]["spent_seconds"], 60.5);
    assert_eq!(
        json["components"][1]["metrics"]["availability_percentage"],
        serde_json::Value::Null
    );
    assert_eq!(report().component("storage").map(|one| one.metrics.incidents), Some(1));
}

#[test]
fn any_other_window_is_named_by_its_length() {
    let window = Window::last(Duration::from_secs(5_400));
    let text = AvailabilityReport { window, ..report() }.to_string();
    assert!(
        text.starts_with(
            "Availability from 1970-01-01 00:00:00 to 1970-01-02 00:00:00 UTC (5400s)\n"
        )
    );
}
