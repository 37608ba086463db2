//! Which component waits for which: pure. Refuses what is not there, and circles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::MonitorError;

/// The names that each component depends on.
pub(crate) type Dependencies = BTreeMap<Arc<str>, Arc<[Arc<str>]>>;

/// Refuses names that are not among the `known` ones, and circles.
pub(crate) fn validate(
    dependencies: &Dependencies,
    known: &BTreeSet<Arc<str>>,
) -> Result<(), MonitorError> {
    for (check, parents) in dependencies {
        if let Some(unknown) = parents.iter().find(|parent| !known.contains(*parent)) {
            return Err(MonitorError::UnknownDependency {
                check: check.clone(),
                dependency: unknown.clone(),
                nearest: nearest(unknown, known.iter().filter(|name| *name != check)),
            });
        }
    }
    match circle(dependencies) {
        Some(names) => Err(MonitorError::CircularDependency { names }),
        None => Ok(()),
    }
}

/// A way from a component back to itself, if there is one: its first name is also its last.
fn circle(dependencies: &Dependencies) -> Option<Vec<Arc<str>>> {
    let (mut done, mut under_way) = (BTreeSet::new(), BTreeSet::new());
    for start in dependencies.keys() {
        // The way to where we are, each with the number of its parents that have been looked at. No
        // recursion: a chain may be as long as there are components.
        let mut way = vec![(start, 0)];
        under_way.insert(start);
        while let Some((name, looked_at)) = way.last_mut() {
            let parent = dependencies.get(*name).and_then(|parents| parents.get(*looked_at));
            *looked_at += 1;
            match parent {
                Some(parent) if !done.contains(parent) => {
                    if !under_way.insert(parent) {
                        let names = way.iter().map(|(name, _)| *name);
                        let around = names.skip_while(|name| *name != parent);
                        return Some(around.chain([parent]).cloned().collect());
                    }
                    way.push((parent, 0));
                }
                Some(_) => {}
                None => {
                    under_way.remove(*name);
                    done.insert(*name);
                    way.pop();
                }
            }
        }
    }
    None
}

/// The name that was probably meant: so near that a typo could lead there, and not that any would.
pub(crate) fn nearest<'a, N: AsRef<str> + Clone + Ord + 'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a N>,
) -> Option<N> {
    let all = known.into_iter().map(|name| (distance(given, name.as_ref()), name));
    let within = |name: &N| name.as_ref().len().max(given.len()) / 3;
    let near = all.filter(|(distance, name)| *distance <= within(name));
    near.min().map(|(_, name)| name.clone())
}

/// How many letters differ: Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a>b,c` is: a depends on b and c. What stands left of `>`, and `known`, is there.
    fn problem(declared: &[&str], known: &[&str]) -> Option<String> {
        let split = declared.iter().map(|one| one.split_once('>').expect("a>b"));
        let listed = |names: &str| names.split(',').map(Arc::from).collect::<Arc<[Arc<str>]>>();
        let dependencies: Dependencies =
            split.map(|(name, parents)| (name.into(), listed(parents))).collect();
        let names = dependencies.keys().cloned().chain(known.iter().map(|name| Arc::from(*name)));
        validate(&dependencies, &names.collect()).err().map(|error| error.to_string())
    }

    #[test]
    fn what_is_there_may_be_waited_for() {
        assert_eq!(problem(&[], &[]), None);
        assert_eq!(problem(&["api>db,cache", "cache>db", "web>api,cache"], &["db"]), None);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        assert_eq!(
            problem(&["api>postgrse"], &["postgres", "redis"]).as_deref(),
            Some(
                "health check `api` depends on `postgrse`, which is no check, circuit breaker or \
                 other component here: did you mean `postgres`?"
            )
        );
        assert_eq!(
            problem(&["api>kafka"], &["postgres"]).as_deref(),
            Some(
                "health check `api` depends on `kafka`, which is no check, circuit breaker or \
                 other component here"
            )
        );
    }

    #[test]
    fn a_circle_is_refused_and_shown() {
        let text = |way: &str| format!("health checks depend on each other in a circle: {way}");
        assert_eq!(problem(&["a>a"], &[]), Some(text("`a` -> `a`")));
        let circle = problem(&["x>a", "a>d,b", "b>c", "c>a"], &["d"]);
        assert_eq!(circle, Some(text("`a` -> `b` -> `c` -> `a`")));
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let name = |n: usize| Arc::<str>::from(format!("{n}"));
        let chain = (0..200_000).map(|n| (name(n), Arc::from([name(n + 1)])));
        assert_eq!(circle(&chain.collect()), None);
    }
}
