//! A history that has lost some of what happened, and is told it again.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Runs { component: usize, status: HealthStatus },
    Opens { component: usize },
    Closes { component: usize },
    Maintains { component: Option<usize>, seconds: f64 },
    Maintained { component: Option<usize> },
    Nothing,
}

const NAMES: [&str; 3] = [DB, "queue", "cache"];

fn any_step() -> impl Strategy<Value = Step> {
    let component = || 0..NAMES.len();
    let whose = || prop::option::of(component());
    prop_oneof![
        6 => (component(), any_status()).prop_map(|(component, status)| Step::Runs { component, status }),
        1 => component().prop_map(|component| Step::Opens { component }),
        1 => component().prop_map(|component| Step::Closes { component }),
        1 => (whose(), 1.0..200.0).prop_map(|(component, seconds)| Step::Maintains { component, seconds }),
        1 => whose().prop_map(|component| Step::Maintained { component }),
        1 => Just(Step::Nothing),
    ]
}

fn take(ledger: &mut Ledger, step: &Step, sequence: u64, now: f64) {
    let name = |component: Option<usize>| component.map(|index| Arc::from(NAMES[index]));
    ledger.advance(at(now));
    match *step {
        Step::Runs { component, status } => run(ledger, NAMES[component], now - 0.1, status),
        Step::Opens { component } => {
            let event = opened(NAMES[component], component == 2, sequence, now);
            ledger.breaker_changed(&event, at(now));
        }
        Step::Closes { component } => {
            let (name, closed) = (NAMES[component], CircuitState::Closed);
            let event =
                breaker_event(name, component == 2, sequence, now, closed, Cause::Recovered);
            ledger.breaker_changed(&event, at(now));
        }
        Step::Maintains { component, seconds } => {
            let until = at(now + seconds);
            ledger.begin_maintenance(name(component).as_ref(), until, "a disk".into(), at(now));
        }
        Step::Maintained { component } => {
            ledger.end_maintenance(name(component).as_ref(), at(now));
        }
        Step::Nothing => {}
    }
}

fn new_ledger() -> Ledger {
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), Duration::ZERO, None);
    ledger
}

/// As the history does it.
fn replay(ledger: &mut Ledger, fact: Fact, told_at: Moment) {
    match fact {
        Fact::State { component, at, state } => ledger.replay_state(component.as_ref(), at, state),
        Fact::Incident { incident, .. } => ledger.replay_incident(incident),
        Fact::Maintenance { maintenance, .. } => ledger.replay_maintenance(maintenance, told_at),
        Fact::Status { .. } | Fact::Flapping { .. } | Fact::Started => {}
    }
}

fn tells_from(fact: &Fact, told_at: Moment) -> Moment {
    match fact {
        Fact::State { at, .. } => told_at.min(*at),
        Fact::Incident { incident, .. } => {
            told_at.min(incident.start()).min(incident.end().unwrap_or(told_at))
        }
        Fact::Maintenance { maintenance, .. } => told_at.min(maintenance.end_time.into()),
        _ => told_at,
    }
}

/// What a restart would read.
fn books(ledger: &Ledger, now: f64) -> Vec<String> {
    let timelines = ledger.components.iter().map(|(name, one)| (&**name, &one.timeline));
    let all = timelines.chain([("", &ledger.system), (PROCESS, &ledger.process)]);
    let spans = |timeline: &Timeline| {
        let spans = timeline.spans(Span::new(at(0.0), at(now)));
        // One that is told of for the first time was unobserved before, wherever it begins.
        let spans = spans.skip_while(|(_, state)| *state == ComponentState::Unobserved);
        spans.map(|(span, state)| format!("{}: {state:?}", span.from.0)).collect::<Vec<_>>()
    };
    let timelines = all.map(|(name, timeline)| (name, spans(timeline)));
    let timelines = timelines.filter(|(_, spans)| !spans.is_empty());
    let timelines = timelines.map(|told| format!("{told:?}"));
    let incidents = incidents(ledger, now).into_iter().map(|one| {
        let Incident { id, severity, start_time, end_time, parent, .. } = one;
        format!("{id} {severity} {start_time} {end_time:?} {parent:?}")
    });
    let maintenance = ledger.maintenance().map(|one| format!("{one:?}"));
    let periods = ledger.components.values().filter(|one| !one.maintenance.is_empty());
    let periods = periods.map(|one| format!("{} {:?}", one.name, one.maintenance));
    timelines.chain(incidents).chain(maintenance).chain(periods).collect()
}

proptest! {
    #[test]
    fn whatever_of_it_was_lost_what_is_told_again_says_the_same(
        steps in prop::collection::vec((1.0..40.0, any_step()), 1..40),
        (first, count) in (0_usize..100, 1_usize..60),
    ) {
        let (mut ledger, mut restored) = (new_ledger(), new_ledger());
        for (index, name) in NAMES.iter().enumerate() {
            ledger.join_check(&Arc::from(*name), terms(index == 0, schedule(2, 2)), at(0.0));
        }
        ledger.all_have_joined(at(0.0));
        let (mut now, mut told, mut since) = (0.0, 0, None);
        for (sequence, (gap, step)) in steps.iter().enumerate() {
            now += gap;
            take(&mut ledger, step, sequence as u64 + 1, now);
            for fact in ledger.take_facts() {
                told += 1;
                if (first..first + count).contains(&told) {
                    let from = tells_from(&fact, at(now));
                    since = Some(since.map_or(from, |since: Moment| since.min(from)));
                } else {
                    replay(&mut restored, fact, at(now));
                }
            }
        }
        if let Some(since) = since {
            for fact in ledger.told_again(since, at(now)) {
                replay(&mut restored, fact, at(now));
            }
        }
        restored.take_facts();
        let (expected, found) = (books(&ledger, now + 1.0), books(&restored, now + 1.0));
        prop_assert_eq!(expected, found);
    }
}
