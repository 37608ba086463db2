//! Many breakers in one registry, each made and called once.

use std::time::{Duration, Instant};

use avail::CircuitBreakerRegistry;

use crate::contender::work;
use crate::measure::Summary;

/// So many breakers: how long it took, and the longest that one of them did.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    pub breakers: usize,
    pub nanos_each: Summary,
    pub slowest_ms: Summary,
}

pub fn measure(rounds: usize) -> Vec<Growth> {
    [1_000, 10_000, 100_000].map(|breakers| grow(breakers, rounds)).into()
}

fn grow(breakers: usize, rounds: usize) -> Growth {
    let names: Vec<_> = (0..breakers).map(|index| format!("tenant-{index:06}")).collect();
    let ran: Vec<_> = (0..rounds).map(|_| once(&names)).collect();
    let of = |part: fn(&(Duration, Duration)) -> f64| {
        Summary::of(&ran.iter().map(part).collect::<Vec<_>>())
    };
    let total = of(|(total, _)| total.as_nanos() as f64);
    let each = |nanos: f64| nanos / breakers as f64;
    Growth {
        breakers,
        nanos_each: Summary {
            median: each(total.median),
            min: each(total.min),
            max: each(total.max),
        },
        slowest_ms: of(|(_, slowest)| slowest.as_secs_f64() * 1e3),
    }
}

fn once(names: &[String]) -> (Duration, Duration) {
    let registry = CircuitBreakerRegistry::new();
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut last = begun;
    for name in names {
        let breaker = registry.get_or_create(name.as_str());
        assert!(breaker.call_sync(|| work(1)).is_ok());
        let now = Instant::now();
        slowest = slowest.max(now - last);
        last = now;
    }
    (last - begun, slowest)
}
