//! Parents and children among incidents.

use super::*;

/// `web` depends on `api`, and that on `db` and on `cache`.
fn chain(threshold_of_db: u32) -> Ledger {
    let mut ledger = with_db(threshold_of_db, 1);
    for (name, parents) in [("cache", &[][..]), ("api", &[DB, "cache"]), ("web", &["api"])] {
        let depends_on = parents.iter().map(|parent| Arc::from(*parent)).collect();
        let terms = CheckTerms { depends_on, ..terms(true, schedule(1, 1)) };
        ledger.join_check(&name.into(), terms, at(0.0));
    }
    for name in [DB, "cache", "api", "web"] {
        run(&mut ledger, name, 0.0, HealthStatus::Healthy);
    }
    ledger
}

fn fail(ledger: &mut Ledger, component: &str, started: f64) {
    run(ledger, component, started, HealthStatus::Unhealthy);
}

fn of<'a>(listed: &'a [Incident], component: &str) -> &'a Incident {
    listed.iter().find(|one| &*one.component == component).expect("it has an incident")
}

/// Which component's incident is the parent of that of `component`.
fn parent(ledger: &Ledger, component: &str) -> Option<Arc<str>> {
    let listed = incidents(ledger, 1_000.0);
    let id = of(&listed, component).parent.clone()?;
    listed.iter().find(|one| one.id == id).map(|one| one.component.clone())
}

fn adopted(ledger: &mut Ledger) -> Vec<Arc<str>> {
    let facts = ledger.take_facts().into_iter().filter_map(|fact| match fact {
        Fact::Incident { step: IncidentStep::Adopted, incident } => Some(incident.component),
        _ => None,
    });
    facts.collect()
}

#[test]
fn while_the_parent_is_down_the_incident_of_a_child_is_its_child() {
    let mut ledger = chain(1);
    fail(&mut ledger, DB, 10.0);
    fail(&mut ledger, "api", 11.0);
    assert_eq!(parent(&ledger, "api").as_deref(), Some(DB));
    assert_eq!(parent(&ledger, DB), None);
    assert_eq!(all_time(&ledger, "api", 21.0).downtime_seconds, 10.0, "its timeline is its own");
    assert!(adopted(&mut ledger).is_empty(), "it was born so");
}

#[test]
fn the_nearest_that_is_down_is_the_parent() {
    let mut ledger = chain(1);
    fail(&mut ledger, DB, 10.0);
    fail(&mut ledger, "web", 11.0);
    assert_eq!(parent(&ledger, "web").as_deref(), Some(DB), "api is up");
    let mut ledger = chain(1);
    fail(&mut ledger, "cache", 10.0);
    fail(&mut ledger, DB, 11.0);
    fail(&mut ledger, "api", 12.0);
    fail(&mut ledger, "web", 13.0);
    assert_eq!(parent(&ledger, "api").as_deref(), Some(DB), "it is named first");
    assert_eq!(parent(&ledger, "web").as_deref(), Some("api"));
}

#[test]
fn one_that_is_noticed_later_adopts_what_is_open() {
    let mut ledger = chain(1);
    fail(&mut ledger, "web", 10.0);
    fail(&mut ledger, "api", 11.0);
    assert_eq!(adopted(&mut ledger), [Arc::from("web")]);
    fail(&mut ledger, DB, 12.0);
    assert_eq!(adopted(&mut ledger), [Arc::from("api")], "web has a parent already");
    assert_eq!(parent(&ledger, "web").as_deref(), Some("api"));
    assert_eq!(parent(&ledger, "api").as_deref(), Some(DB));
}

#[test]
fn one_that_a_threshold_notices_late_adopts_what_began_after_it_and_is_over() {
    let mut ledger = chain(3);
    fail(&mut ledger, "web", 9.0);
    run(&mut ledger, "web", 9.5, HealthStatus::Healthy);
    fail(&mut ledger, DB, 10.0);
    fail(&mut ledger, "api", 11.0);
    run(&mut ledger, "api", 12.0, HealthStatus::Healthy);
    fail(&mut ledger, DB, 13.0);
    assert_eq!(parent(&ledger, "api"), None);
    fail(&mut ledger, DB, 15.0);
    assert_eq!(adopted(&mut ledger), [Arc::from("api")]);
    assert_eq!(parent(&ledger, "web"), None, "it began, and was over, before");
}

#[test]
fn resolution_is_never_suppressed() {
    let mut ledger = chain(1);
    fail(&mut ledger, DB, 10.0);
    fail(&mut ledger, "api", 11.0);
    run(&mut ledger, "api", 12.0, HealthStatus::Healthy);
    let listed = incidents(&ledger, 20.0);
    assert!(of(&listed, "api").resolved && !of(&listed, DB).resolved);
    fail(&mut ledger, "api", 13.0);
    run(&mut ledger, DB, 14.0, HealthStatus::Healthy);
    let listed = incidents(&ledger, 20.0);
    assert!(!of(&listed, "api").resolved && of(&listed, DB).resolved);
    assert_eq!(parent(&ledger, "api").as_deref(), Some(DB), "what it followed from is a fact");
}

#[test]
fn an_open_breaker_that_is_no_downtime_is_nobodys_parent_and_may_be_a_child() {
    let mut ledger = chain(1);
    ledger.breaker_changed(&opened(DB, false, 1, 5.0), at(5.0));
    fail(&mut ledger, "api", 6.0);
    assert_eq!(parent(&ledger, "api"), None);
    fail(&mut ledger, DB, 10.0);
    assert_eq!(parent(&ledger, "api").as_deref(), Some(DB), "now it is down");
    ledger.breaker_changed(&opened("web", false, 1, 11.0), at(11.0));
    assert_eq!(parent(&ledger, "web").as_deref(), Some("api"));
}

#[test]
fn one_that_has_left_is_nobodys_child_and_nobodys_parent() {
    let mut ledger = chain(1);
    ledger.leave("api", at(5.0));
    fail(&mut ledger, DB, 10.0);
    fail(&mut ledger, "web", 11.0);
    assert_eq!(parent(&ledger, "web"), None);
    for name in ["web", "api"] {
        ledger.join_check(&name.into(), terms(true, schedule(1, 1)), at(12.0));
    }
    fail(&mut ledger, "api", 13.0);
    assert_eq!(parent(&ledger, "web"), None, "nothing is left of what it waited for");
    assert_eq!(parent(&ledger, "api"), None);
}
