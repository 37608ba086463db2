//! Both forms, from a monitor whose time is paused.

use std::collections::BTreeSet;
use std::time::Duration;

use avail_core::testing::isolated;
use avail_core::{CircuitBreakerConfig, CircuitBreakerRegistry, HealthCheck};

use super::*;

/// `storage` works, `embedder` does not, `new` has never been looked at; the breaker of `storage`
/// is open.
async fn monitor() -> AvailabilityMonitor {
    let monitor = AvailabilityMonitor::builder()
        .discover(false)
        .breakers(CircuitBreakerRegistry::new())
        .target(99.5)
        .check(HealthCheck::new("storage", || async { true }))
        .check(HealthCheck::new("embedder", || async { false }).critical(false).slo(99.0))
        .check(HealthCheck::new("new", || async { true }).initial_delay(Duration::from_secs(60)))
        .start()
        .await
        .expect("it starts");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let breaker = monitor.breakers().get_or_create("quo\"te");
    breaker.trip();
    assert!(breaker.acquire().is_err());
    monitor
}

#[tokio::test(start_paused = true)]
async fn every_metric_says_what_is_known() {
    let _isolated = isolated();
    let text = render(&monitor().await);
    let lines: BTreeSet<_> = text.lines().collect();
    for line in [
        r#"avail_component_up{component="storage",critical="true"} 1"#,
        r#"avail_component_up{component="embedder",critical="false"} 0"#,
        r#"avail_component_status{component="storage",status="healthy"} 1"#,
        r#"avail_component_status{component="storage",status="degraded"} 0"#,
        r#"avail_component_status{component="storage",status="unhealthy"} 0"#,
        r#"avail_component_status{component="storage",status="unknown"} 0"#,
        r#"avail_component_status{component="new",status="unknown"} 1"#,
        r#"avail_check_runs_total{component="storage",result="success"} 1"#,
        r#"avail_check_runs_total{component="storage",result="slow"} 0"#,
        r#"avail_check_runs_total{component="storage",result="error"} 0"#,
        r#"avail_check_runs_total{component="storage",result="timeout"} 0"#,
        r#"avail_check_runs_total{component="storage",result="panic"} 0"#,
        r#"avail_check_runs_total{component="storage",result="skipped"} 0"#,
        r#"avail_check_duration_seconds_bucket{component="storage",le="0.001"} 1"#,
        r#"avail_check_duration_seconds_bucket{component="storage",le="5.0"} 1"#,
        r#"avail_check_duration_seconds_bucket{component="storage",le="+Inf"} 1"#,
        r#"avail_check_duration_seconds_count{component="storage"} 1"#,
        r#"avail_availability_ratio{component="storage",window="24h"} 1.0"#,
        r#"avail_availability_ratio{component="storage",window="all_time"} 1.0"#,
        r#"avail_slo_objective_ratio{component=""} 0.995"#,
        r#"avail_slo_objective_ratio{component="embedder"} 0.99"#,
        r#"avail_error_budget_remaining_ratio{component=""} 1.0"#,
        r#"avail_burn_rate{component="",window="5m"} 0.0"#,
        r#"avail_burn_rate{component="",window="3d"} 0.0"#,
        r#"avail_incidents_open{component="storage"} 0"#,
        r#"avail_incidents_total{component="storage",severity="critical"} 0"#,
        r#"avail_circuit_breaker_state{name="quo\"te",state="closed"} 0"#,
        r#"avail_circuit_breaker_state{name="quo\"te",state="open"} 1"#,
        r#"avail_circuit_breaker_state{name="quo\"te",state="half_open"} 0"#,
        r#"avail_circuit_breaker_calls_total{name="quo\"te",outcome="success"} 0"#,
        r#"avail_circuit_breaker_rejected_total{name="quo\"te",reason="open"} 1"#,
        r#"avail_circuit_breaker_transitions_total{name="quo\"te",from="closed",to="open"} 1"#,
        r#"avail_breakers_mode{mode="on"} 1"#,
        r#"avail_breakers_mode{mode="shadow"} 0"#,
        r#"avail_breakers_mode{mode="off"} 0"#,
        "avail_ready 0",
        "avail_live 1",
        "avail_draining 0",
        "avail_history_write_errors_total 0",
        "avail_history_dropped_records_total 0",
        "avail_history_corrupt_records_total 0",
        concat!("avail_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(lines.contains(line), "{line}\n\n{text}");
    }
    for series in [
        "avail_state_seconds_total{component=\"\",state=\"unobserved\"} ",
        "avail_state_seconds_total{component=\"storage\",state=\"up\"} ",
        "avail_coverage_ratio{component=\"\",window=\"7d\"} ",
        "avail_check_last_success_timestamp_seconds{component=\"storage\"} ",
    ] {
        assert!(text.contains(&format!("\n{series}")), "{series}\n\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_undefined_is_absent() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let text = render(&monitor);
    for prefix in [
        "avail_component_up{component=\"new\"",
        "avail_mtbf_seconds",
        "avail_mttr_seconds",
        "avail_check_last_success_timestamp_seconds{component=\"embedder\"",
        "avail_check_last_success_timestamp_seconds{component=\"new\"",
        "avail_availability_ratio{component=\"new\"",
        "avail_slo_objective_ratio{component=\"storage\"",
        "avail_burn_rate{component=\"embedder\"",
        "avail_error_budget_remaining_ratio{component=\"embedder\"",
    ] {
        assert!(!text.contains(prefix), "{prefix}\n\n{text}");
    }
    assert!(!text.contains("NaN") && !text.contains(" +Inf\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn every_family_is_announced_once_before_its_samples_in_both_forms() {
    let _isolated = isolated();
    let monitor = monitor().await;
    for form in [Form::Text, Form::OpenMetrics] {
        let text = render_as(&monitor, form);
        let mut announced = BTreeSet::new();
        let mut family = String::new();
        let mut series = BTreeSet::new();
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split(' ').next().unwrap_or_default();
                assert!(announced.insert(name.to_owned()), "{name} twice, as {form:?}");
                family = name.to_owned();
            } else if let Some(of_type) = line.strip_prefix("# TYPE ") {
                assert!(of_type.starts_with(&format!("{family} ")), "{line} as {form:?}");
            } else {
                assert!(line.starts_with(&family), "{line} stands below {family}, as {form:?}");
                let (name, _) = line.rsplit_once(' ').expect("a name and a value");
                assert!(series.insert(name.to_owned()), "{name} twice, as {form:?}");
            }
        }
        assert!(announced.len() >= 20, "{announced:?}");
        assert_eq!(text.ends_with("\n# EOF\n"), form == Form::OpenMetrics);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_an_incident_of_the_process() {
    let _isolated = isolated();
    let folder = tempfile::tempdir().expect("a folder");
    let start = async |name: &str| {
        let builder = AvailabilityMonitor::builder().discover(false);
        let builder = builder.breakers(CircuitBreakerRegistry::new());
        builder.history_file(folder.path().join(name)).start().await.expect("it starts")
    };
    let first = start("first.jsonl").await;
    let text = render(&first);
    let none = r#"avail_incidents_total{component="process",severity="critical"} 0"#;
    assert!(text.contains(none), "{text}");
    // What a process leaves behind that is killed: a file without a last word.
    let begun = std::time::Instant::now();
    while std::fs::metadata(folder.path().join("first.jsonl")).map_or(0, |file| file.len()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing was written");
        std::thread::yield_now();
    }
    std::fs::copy(folder.path().join("first.jsonl"), folder.path().join("second.jsonl"))
        .expect("a file");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let text = render(&start("second.jsonl").await);
    for line in [
        r#"avail_incidents_total{component="process",severity="critical"} 1"#,
        r#"avail_incidents_open{component="process"} 0"#,
        r#"avail_mttr_seconds{component="process",window="all_time"} 60.0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_family_has_no_more_series_than_it_may_have_keys() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let family = monitor.breakers().family("tenants", CircuitBreakerConfig::default(), 3);
    let family = family.expect("a good configuration");
    for tenant in 0..50 {
        family.get(&format!("tenant-{tenant}")).trip();
    }
    let text = render(&monitor);
    let open = |line: &&str| line.contains("tenants[") && line.contains("state=\"open\"");
    let open: Vec<_> = text.lines().filter(open).collect();
    assert_eq!(open.len(), 4, "three keys, and the one that the others share: {open:#?}");
    assert!(text.contains(r#"avail_circuit_breaker_state{name="tenants[*]",state="open"} 1"#));
    assert!(text.contains(r#"avail_incidents_open{component="tenants"} 1"#), "{text}");
}
