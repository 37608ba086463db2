//! What was summed up says the same as what it was summed up from.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
const ALL: [ComponentState; 5] = ComponentState::ALL;

/// Something that a process tells, or that happens to it.
#[derive(Clone, Debug)]
enum Step {
    Changes {
        component: usize,
        state: usize,
        late: i64,
    },
    Fails {
        component: usize,
        lasts: i64,
    },
    Runs {
        component: usize,
        successful: u64,
        failed: u64,
    },
    Calls {
        component: usize,
        successful: u64,
        failed: u64,
    },
    /// Ended before, where it is.
    Maintains {
        component: usize,
        lasts: i64,
        ended: Option<i64>,
    },
    Ends {
        clean: bool,
        clock: i64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_usize..4, 0_usize..5, 0_i64..90_000)
            .prop_map(|(component, state, late)| Step::Changes { component, state, late }),
        2 => (0_usize..3, 1_i64..4_000_000)
            .prop_map(|(component, lasts)| Step::Fails { component, lasts }),
        2 => (0_usize..3, 0_u64..200, 0_u64..20)
            .prop_map(|(component, successful, failed)| Step::Runs { component, successful, failed }),
        2 => (0_usize..3, 0_u64..200_000, 0_u64..20)
            .prop_map(|(component, successful, failed)| Step::Calls { component, successful, failed }),
        1 => (0_usize..4, 0_i64..90_000_000, prop::option::of(0_i64..90_000_000))
            .prop_map(|(component, lasts, ended)| Step::Maintains { component, lasts, ended }),
        1 => (any::<bool>(), prop_oneof![Just(0), Just(-3_600_000), Just(86_400_000)])
            .prop_map(|(clean, clock)| Step::Ends { clean, clock }),
    ]
}

/// Milliseconds to the next step: seconds mostly, days sometimes.
fn any_gap() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1_i64..100_000, 1 => 1_i64..5_000_000, 1 => 1_i64..(20 * 86_400_000)]
}

/// What each boot tells, and when.
fn told(steps: &[(i64, Step)]) -> (Vec<Vec<Message>>, i64) {
    let start = || Record::Start { pid: 1, version: "0".into() };
    let mut now = 1_772_100_000_000;
    let mut boots = vec![vec![message(now, start())]];
    for (gap, step) in steps {
        now += gap;
        let component = |index: &usize| format!("c{index}");
        let records = match step {
            Step::Changes { component: 3, state: which, late } => {
                vec![state(None, now - late, ALL[*which])]
            }
            Step::Changes { component: index, state: which, late } => {
                vec![state(Some(&component(index)), now - late, ALL[*which])]
            }
            Step::Fails { component: index, lasts } => vec![
                incident(&component(index), now - lasts, None),
                incident(&component(index), now - lasts, Some(now)),
            ],
            Step::Runs { component: index, successful, failed } => {
                vec![checks(&component(index), *successful, *failed)]
            }
            Step::Calls { component: index, successful, failed } => {
                vec![calls(&component(index), *successful, *failed)]
            }
            Step::Maintains { component: index, lasts, ended } => {
                let (name, from) = ((*index < 3).then(|| component(index)), now);
                let name = name.as_deref();
                let mut told = vec![
                    maintenance(name, from, from + lasts),
                    state(name, from, ComponentState::Maintenance),
                ];
                if let Some(after) = ended.filter(|after| after < lasts) {
                    now += after;
                    told.extend([
                        maintenance(name, from, now),
                        state(name, now, ComponentState::Up),
                    ]);
                }
                told
            }
            Step::Ends { clean: true, .. } => vec![Record::Stop],
            Step::Ends { clean: false, .. } => vec![Record::Heartbeat],
        };
        let boot = boots.last_mut().expect("there is one");
        boot.extend(records.into_iter().map(|record| message(now, record)));
        if let Step::Ends { clock, .. } = step {
            now += clock;
            boots.push(vec![message(now, start())]);
        }
    }
    (boots, now + 86_400_000)
}

fn write(steps: &[(i64, Step)], max_bytes: u64) -> (ModelDisk, i64) {
    let disk = ModelDisk::default();
    let (boots, end) = told(steps);
    let mut now = Instant::now();
    for (index, boot) in boots.into_iter().enumerate() {
        disk.unlock();
        let (mut scribe, shared) = scribe(&disk, &format!("b{index}"), max_bytes).expect("works");
        for message in boot {
            scribe.keep(message);
            scribe.write(false);
            now += Duration::from_secs(61);
            scribe.tidy(now);
        }
        assert_eq!(shared.status().error, None);
    }
    (disk, end)
}

/// Few, unless the environment asks for more.
fn cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(32),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_history_that_was_summed_up_at_any_time_says_the_same_as_all_of_its_records(
        steps in prop::collection::vec((any_gap(), any_step()), 1..120),
        max_bytes in 200_u64..6_000,
    ) {
        let (all, now) = write(&steps, u64::MAX);
        let (compacted, _) = write(&steps, max_bytes);
        let names = compacted.names();
        prop_assert_eq!(all.names().len(), 2);
        let (expected, found) = (figures(&read(&all), now), figures(&read(&compacted), now));
        let differs = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
        prop_assert_eq!(differs, None, "{:?}", names);
        // Without the newest snapshot too.
        if let Some(newest) = names.iter().filter(|name| name.ends_with(".snapshot")).max_by_key(|name| name.len()) {
            compacted.put(Path::new(newest), b"nothing");
            prop_assert!(figures(&read(&compacted), now) == expected, "{:?}", names);
        }
    }
}

#[test]
fn however_much_is_told_the_files_stay_small_and_few() {
    let disk = ModelDisk::default();
    let max_bytes = 20_000;
    let (mut scribe, _) = scribe(&disk, "b", max_bytes).expect("it works");
    let mut now = Instant::now();
    let mut sizes = Vec::new();
    for hour in 0..24 * 400_i64 {
        let at = hour * 3_600_000;
        scribe.keep(message(at, state(Some("db"), at, ALL[hour as usize % 3])));
        scribe.keep(message(at, checks("db", 120, 1)));
        if hour % 20 == 0 {
            scribe.write(true);
            now += Duration::from_secs(61);
            scribe.tidy(now);
        }
        if hour % (24 * 100) == 0 {
            sizes.push(disk.names().iter().map(|name| disk.contents(Path::new(name)).len()).sum());
        }
    }
    scribe.write(true);
    let names = disk.names();
    assert!(names.len() <= 5, "{names:?}");
    let most: usize = sizes.into_iter().max().expect("some");
    assert!(most < 200_000, "{most} bytes");
    let [all] = read(&disk)
        .past
        .expect("something")
        .ledger
        .component_metrics("db", [Window::ALL_TIME], Moment(24 * 400 * 3_600_000))
        .expect("known");
    assert_eq!(
        (all.total_checks, all.downtime_seconds),
        (121 * 24 * 400, 3_600.0 * 24.0 * 400.0 / 3.0)
    );
}

/// A snapshot, and a segment that is not summed up yet.
fn about_to_sum_up(disk: &ModelDisk) -> Store {
    let (mut scribe, _) = scribe(disk, "b", 2_000).expect("it works");
    for at in 0..40 {
        scribe.keep(message(at, state(Some("db"), at, ALL[at as usize % 5])));
        scribe.keep(message(at, incident("db", at, Some(at))));
        scribe.write(true);
        if at == 20 {
            scribe.tidy(Instant::now());
        }
    }
    drop(scribe);
    disk.unlock();
    let mut store = Store::open(Box::new(disk.clone()), Path::new(PATH), 1).expect("it is free");
    assert!(store.rotate(Instant::now()).is_ok_and(|rotated| rotated));
    store
}

#[test]
fn a_stop_gives_up_what_is_being_summed_up_and_loses_nothing_of_it() {
    for patience in 0.. {
        let disk = ModelDisk::default();
        let mut store = about_to_sum_up(&disk);
        let (before, names) = (figures(&read(&disk), 1_000), disk.names());
        let asked = std::cell::Cell::new(0);
        let summed_up = store.compact(Instant::now(), &|| {
            asked.set(asked.get() + 1);
            asked.get() > patience
        });
        assert_eq!(figures(&read(&disk), 1_000), before, "given up at line {patience}");
        if summed_up.is_ok() {
            // 21 incidents of the snapshot, 38 records read and then taken in, 40 incidents written.
            assert!(patience > 21 + 2 * 38 + 40, "it was asked at each line: {patience}");
            assert_ne!(disk.names(), names);
            return;
        }
        assert_eq!(disk.names(), names, "given up at line {patience}");
    }
}

#[test]
fn what_is_closed_sums_nothing_up() {
    let disk = ModelDisk::default();
    let (mut scribe, shared) = scribe(&disk, "b", 100).expect("it works");
    (0..20).for_each(|at| scribe.keep(message(at, incident("db", at, Some(at)))));
    scribe.write(true);
    shared.queue.close(Some(message(30, Record::Stop)));
    scribe.tidy(Instant::now());
    scribe.run();
    let found = read(&disk);
    assert_eq!((found.report.snapshot, found.report.unclean_end), (None, false));
    assert_eq!(shared.status().error, None);
}
