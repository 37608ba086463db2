//! The example of `docs/availability.md`: what happens is read from the page, and so is what must
//! follow from it.

use super::*;
use crate::availability::slo::{AlertSeverity, Objective, Slo};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/availability.md");
const WEEK: i64 = 7 * 86_400;
const MINUTE: usize = 60;
const TARGET: f64 = 99.9;

fn page() -> String {
    std::fs::read_to_string(PAGE).expect("the page is in the repository")
}

/// The rows of the table whose first line begins so, without that line and the one below it.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let lines = page.lines().skip_while(|line| !line.starts_with(head));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "the page has a table that begins with {head}");
    rows
}

/// Monday, 2 March 2026, 00:00 UTC.
fn monday() -> Moment {
    let time = chrono::DateTime::parse_from_rfc3339("2026-03-02T00:00:00Z").expect("a time");
    Moment::from(time.with_timezone(&chrono::Utc))
}

fn moment(seconds: i64) -> Moment {
    Moment(monday().0 + seconds * 1000)
}

/// `Tue 09:00:00` in seconds since Monday.
fn seconds_of(text: &str) -> i64 {
    let (day, time) = text.split_once(' ').expect("a day and a time");
    let day =
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].iter().position(|name| *name == day);
    let parts = time.split(':').map(|part| part.parse::<i64>().expect("a number"));
    day.expect("a day of the week") as i64 * 86_400 + parts.fold(0, |sum, part| sum * 60 + part)
}

#[derive(Debug)]
struct Happening {
    from: i64,
    to: i64,
    what: String,
    is: String,
}

fn happenings(page: &str) -> Vec<Happening> {
    let rows = table(page, "| from | to |").into_iter();
    let read = |row: Vec<String>| Happening {
        from: seconds_of(&row[0]),
        to: seconds_of(&row[1]),
        what: row[2].clone(),
        is: row[3].clone(),
    };
    rows.map(read).collect()
}

fn start(ledger: &mut Ledger, now: i64, before: Option<(Moment, bool)>) {
    ledger.begin(moment(now), Duration::ZERO, before);
    let schedule = |failures| Schedule { interval: seconds(60), ..schedule(failures, 1) };
    for (name, critical, failures) in [("storage", true, 3), ("mail", false, 1)] {
        ledger.join_check(&Arc::from(name), terms(critical, schedule(failures)), moment(now));
    }
    let window = seconds(WEEK as u64);
    ledger.promise("storage", Some(Objective { percent: 99.5, window, declared: true }));
    ledger.join_breaker(&Arc::from("storage"), false, moment(now));
    ledger.all_have_joined(moment(now));
}

/// Lives through the week up to so many seconds after its beginning.
fn live(happenings: &[Happening], until: i64) -> Ledger {
    let mut ledger = Ledger::new(monday());
    start(&mut ledger, 0, None);
    for second in (0..until).step_by(MINUTE) {
        ledger.advance(moment(second));
        let now = |one: &&Happening| (one.from..one.to).contains(&second);
        if happenings.iter().filter(now).any(|one| one.what == "process") {
            continue;
        }
        if let Some(off) = happenings.iter().find(|one| one.what == "process" && one.to == second) {
            start(&mut ledger, second, Some((moment(off.from), off.is == "stopped")));
        }
        for name in ["storage", "mail"] {
            let is = happenings.iter().filter(now).find(|one| one.what == name);
            let status = match is.map(|one| &*one.is) {
                None => HealthStatus::Healthy,
                Some("degraded") => HealthStatus::Degraded,
                Some(_) => HealthStatus::Unhealthy,
            };
            let result = HealthCheckResult {
                component: name.into(),
                status,
                latency: Duration::ZERO,
                timestamp: moment(second).to_datetime(),
                error: None,
                class: None,
                details: serde_json::Map::new(),
            };
            ledger.record(result, moment(second));
        }
        let calls = CheckCounts { successful: 10, failed: u64::from(second % 3_600 == 0) };
        ledger.count_calls(&BTreeMap::from([(Arc::from("storage"), calls)]), moment(second));
    }
    ledger.advance(moment(until));
    ledger
}

#[test]
fn the_figures_of_the_page_are_those_of_the_code() {
    let page = page();
    let ledger = live(&happenings(&page), WEEK);
    let report = ledger.report(Window::DAYS_7, TARGET, moment(WEEK));
    let of = |name: &str| report.component(name).expect(name);
    let entries = [of("storage"), of("mail"), of(PROCESS), &report.system];
    for row in table(&page, "| seconds | storage | mail |") {
        for (shown, entry) in row[1..].iter().zip(entries) {
            let (metrics, budget) = (&entry.metrics, &entry.slo.error_budget);
            let is = match &*row[0] {
                "U" => metrics.uptime_seconds,
                "G" => metrics.degraded_seconds,
                "D" => metrics.downtime_seconds,
                "M" => metrics.maintenance_seconds,
                "X" => metrics.unobserved_seconds,
                "MTBF" => metrics.mtbf.expect("there was an incident"),
                "MTTR" => metrics.mttr.expect("it is over"),
                "budget" => budget.total_seconds,
                "remaining" => budget.remaining_seconds,
                other => panic!("the page shows {other}, which this test does not know"),
            };
            let shown: f64 = shown.replace(',', "").parse().expect("a number");
            assert!((shown - is).abs() < 1e-6, "{} of `{}`: {shown} and {is}", row[0], entry.name);
        }
    }
    let system = &report.system.metrics;
    assert!(page.contains(&format!("= {} %", system.percentage_text())));
}

#[test]
fn the_burn_rates_of_the_page_are_those_of_the_code() {
    let page = page();
    let now = seconds_of("Tue 09:05:00");
    let ledger = live(&happenings(&page), now);
    let storage: Slo = ledger.component_slo("storage", TARGET, moment(now)).expect("known");
    let [shown] = &table(&page, "| window | 5m |")[..] else { panic!("one row of burn rates") };
    for (shown, burn) in shown[1..].iter().zip(&storage.burn_rates) {
        let rate = burn.rate.expect("it was observed");
        let cut_off = (rate * 100.0 + 1e-6).floor() / 100.0;
        assert_eq!(*shown, format!("{cut_off:.2}"), "over {}", burn.window);
    }
    assert_eq!((shown.len(), storage.alert), (8, Some(AlertSeverity::Page)));
}

#[test]
fn the_report_of_the_page_is_what_is_printed() {
    let page = page();
    let ledger = live(&happenings(&page), WEEK);
    let printed = ledger.report(Window::DAYS_7, TARGET, moment(WEEK)).to_string();
    let shown = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(&*printed), "\n{printed}");
}
