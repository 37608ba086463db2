//! What was given from outside, laid over what the code declares: the more specific wins over the
//! less specific, and of two that are equally specific the environment wins over the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::{SettingProblem, SettingSource, SettingsWarning};
use super::keys::{Configured, Key, Set};
use super::variables::variable_of;
use crate::breaker::CircuitBreakerConfig;
use crate::health::dependencies::nearest;
use crate::health::{CheckError, HealthCheck, Schedule};
use crate::site::{Origin, Uncut};

/// Everything that was given.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    pub(crate) breakers: Layers<CircuitBreakerConfig>,
    pub(crate) checks: Layers<HealthCheck>,
    /// Whether there was a file.
    pub(crate) has_file: bool,
    /// Variables that look like settings and are none.
    pub(super) strangers: Vec<SettingsWarning>,
}

/// A value for one key.
pub(crate) struct Given<C: 'static> {
    pub(super) key: &'static Key<C>,
    pub(super) set: Set<C>,
    pub(super) source: SettingSource,
}

impl<C: Configured> Given<C> {
    /// These settings with this one in them.
    fn of(&self, declared: &C) -> C {
        let mut config = declared.clone();
        (self.set)(&mut config);
        config
    }
}

/// What was given for circuit breakers, or for health checks.
pub(crate) struct Layers<C: 'static> {
    pub(super) file_defaults: Vec<Given<C>>,
    pub(super) environment_defaults: Vec<Given<C>>,
    /// By name, with the place of the table.
    pub(super) file: BTreeMap<Arc<str>, (SettingSource, Vec<Given<C>>)>,
    /// By what stands for the name in a variable.
    pub(super) environment: BTreeMap<Arc<str>, Vec<Given<C>>>,
}

impl<C: Configured> Layers<C> {
    /// Everything that was given.
    fn all(&self) -> impl Iterator<Item = &Given<C>> {
        let in_file = self.file.values().flat_map(|(_, given)| given);
        self.for_all().chain(in_file).chain(self.environment.values().flatten())
    }

    /// What was given for all, the weakest first.
    fn for_all(&self) -> impl Iterator<Item = &Given<C>> {
        self.file_defaults.iter().chain(&self.environment_defaults)
    }

    /// What was given for that name, the weakest first.
    fn by_name(&self, name: &str) -> impl Iterator<Item = &Given<C>> {
        let in_file = self.file.get(name).map(|(_, given)| given);
        // The variable's name is only made up where there is any that it could be.
        let variable = (!self.environment.is_empty()).then(|| variable_of(name));
        let by_variable = variable.and_then(|variable| self.environment.get(&*variable));
        in_file.into_iter().chain(by_variable).flatten()
    }

    /// For one of several names, the least specific name first: what was given, the weakest first.
    fn given_for(&self, names: &[&str]) -> Vec<&Given<C>> {
        let named = names.iter().flat_map(|name| self.by_name(name));
        self.for_all().chain(named).collect()
    }

    /// What is wrong, or looks like a mistake, in the names, where those are known.
    pub(crate) fn look_at_names(
        &self,
        known: &BTreeSet<Arc<str>>,
    ) -> (Vec<SettingsWarning>, Vec<SettingProblem>) {
        let (mut warnings, mut problems) = (Vec::new(), Vec::new());
        let mut warn = |source: &SettingSource, name: &Arc<str>, nearest| {
            let (source, name) = (source.clone(), name.clone());
            warnings.push(SettingsWarning { source, name, nearest, noun: C::NOUN });
        };
        for (name, (source, _)) in &self.file {
            if !known.contains(name) {
                warn(source, name, nearest(name, known));
            }
        }
        let mut by_variable: BTreeMap<Arc<str>, Vec<&Arc<str>>> = BTreeMap::new();
        if !self.environment.is_empty() {
            for name in known {
                by_variable.entry(variable_of(name).into()).or_default().push(name);
            }
        }
        for (variable, given) in &self.environment {
            let Some(source) = given.first().map(|given| &given.source) else { continue };
            match by_variable.get(variable).map(Vec::as_slice) {
                None => warn(source, variable, nearest(variable, by_variable.keys())),
                Some([first, second, ..]) => problems.push(SettingProblem::at(
                    source.clone(),
                    format!(
                        "it stands for both {} `{first}` and `{second}`: give one another name, or \
                         configure them in the file",
                        C::NOUN
                    ),
                )),
                Some(_) => {}
            }
        }
        warnings.sort_by(|a, b| a.source.cmp(&b.source));
        (warnings, problems)
    }
}

/// What can't be put together: where the values were given that are to blame, none where nothing was
/// given; and what is wrong.
#[derive(Debug)]
pub(crate) struct Unfit<E> {
    pub(crate) sources: Vec<SettingSource>,
    pub(crate) error: E,
}

/// Lays what was given over what is declared, and validates what it comes to.
fn combine<C: Configured, T, E>(
    declared: &C,
    given: &[&Given<C>],
    validate: impl Fn(&C) -> Result<T, E>,
) -> Result<(C, T), Unfit<E>> {
    let without = |key: Option<&str>| {
        let mut combined = declared.clone();
        let kept = given.iter().filter(|given| Some(given.key.name) != key);
        kept.for_each(|given| (given.set)(&mut combined));
        combined
    };
    let combined = without(None);
    let error = match validate(&combined) {
        Ok(valid) => return Ok((combined, valid)),
        Err(error) => error,
    };
    // The last one for a key is the one that holds.
    let holding: BTreeMap<_, _> =
        given.iter().map(|given| (given.key.name, &given.source)).collect();
    // To blame are those without which it would do; where there is no such one, all of them.
    let to_blame = |key: &&str| validate(&without(Some(key))).is_ok();
    let mut sources: Vec<_> =
        holding.iter().filter(|(key, _)| to_blame(key)).map(|(_, source)| *source).collect();
    if sources.is_empty() {
        sources = holding.into_values().collect();
    }
    sources.sort();
    Err(Unfit { sources: sources.into_iter().cloned().collect(), error })
}

/// The key that not every annotated function can be given.
const LIMIT: &str = "call_timeout";

/// A circuit breaker that settings are laid over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    /// What the monitor knows it as: its own name, or its family's.
    pub(crate) component: &'a str,
    pub(crate) declared: &'a CircuitBreakerConfig,
    /// The annotated function whose calls can't be cut off, if one is.
    pub(crate) uncut: Option<(Origin, Uncut)>,
}

/// A check, with what is made of it.
#[derive(Clone, Debug)]
pub(crate) struct Tuned {
    pub(crate) declared: HealthCheck,
    pub(crate) check: HealthCheck,
    pub(crate) schedule: Schedule,
}

impl Overlay {
    /// Checks that breakers are to wait for and that are not there: until they are, calls probe as
    /// usual.
    pub(crate) fn look_at_recovery_checks(
        &self,
        known: &BTreeSet<Arc<str>>,
    ) -> Vec<SettingsWarning> {
        let named = self.breakers.all().filter_map(|given| {
            let config = given.of(&CircuitBreakerConfig::default());
            config.recovery_check.map(|check| (given.source.clone(), check))
        });
        let unknown = named.filter(|(_, check)| !known.contains(check));
        let warnings = unknown.map(|(source, name)| {
            let nearest = nearest(&name, known);
            SettingsWarning { source, name, nearest, noun: HealthCheck::NOUN }
        });
        warnings.collect()
    }

    /// Variables that look like settings and are none.
    pub(crate) fn strangers(&self) -> &[SettingsWarning] {
        &self.strangers
    }

    /// Where these checks were given what they depend on, if that was from outside.
    pub(crate) fn sources_of_dependencies(&self, checks: &[Arc<str>]) -> Vec<SettingSource> {
        let of_check = |check: &Arc<str>| {
            let mut given = self.checks.given_for(&[check]).into_iter();
            let last = given.rfind(|given| given.key.name == "depends_on");
            last.map(|given| given.source.clone())
        };
        let sources: BTreeSet<_> = checks.iter().filter_map(of_check).collect();
        sources.into_iter().collect()
    }

    /// The settings of a breaker.
    ///
    /// # Errors
    ///
    /// Where they can't work as given.
    pub(crate) fn breaker(&self, of: Subject<'_>) -> Result<CircuitBreakerConfig, SettingProblem> {
        let names = [of.component, of.name];
        let names = if of.name == of.component { &names[..1] } else { &names[..] };
        let mut given = self.breakers.given_for(names);
        if let Some(function) = of.uncut {
            self.refuse_limit(of, names, function)?;
            given.retain(|given| given.key.name != LIMIT);
        }
        let validate = |config: &CircuitBreakerConfig| config.clone().validate();
        match combine(of.declared, &given, validate) {
            Ok((config, _)) => Ok(config),
            // Declared past the builder; it is made to work where a breaker is made.
            Err(unfit) if unfit.sources.is_empty() => Ok(of.declared.clone()),
            Err(Unfit { sources, error }) => {
                let problem = format!("circuit breaker `{}`: {error}", of.component);
                Err(SettingProblem { sources, problem })
            }
        }
    }

    /// A limit for all passes over what it can't hold for; one by name is a mistake.
    fn refuse_limit(
        &self,
        of: Subject<'_>,
        names: &[&str],
        (origin, why): (Origin, Uncut),
    ) -> Result<(), SettingProblem> {
        let named = names.iter().flat_map(|name| self.breakers.by_name(name));
        let limit = named.filter(|given| given.key.name == LIMIT).last();
        match limit.filter(|given| given.of(of.declared).call_timeout.is_some()) {
            None => Ok(()),
            Some(given) => Err(SettingProblem::at(
                given.source.clone(),
                format!(
                    "circuit breaker `{}`: `{LIMIT}` can't hold: the function at {origin} {why}",
                    of.component
                ),
            )),
        }
    }

    /// What becomes of a check.
    ///
    /// # Errors
    ///
    /// Where it can't work as declared, or as given.
    pub(crate) fn tune(
        &self,
        declared: HealthCheck,
        default_interval: Duration,
    ) -> Result<Tuned, Unfit<CheckError>> {
        let given = self.checks.given_for(&[declared.name()]);
        let validate = |check: &HealthCheck| check.schedule(default_interval);
        let (check, schedule) = combine(&declared, &given, validate)?;
        Ok(Tuned { declared, check, schedule })
    }
}

/// How the settings differ, key by key.
pub(crate) fn differences<C: Configured>(from: &C, to: &C) -> Vec<super::SettingChange> {
    let each = C::KEYS.iter().map(|key| (key.name, key.show(from), key.show(to)));
    let changed = each.filter(|(_, from, to)| from != to);
    changed.map(|(key, from, to)| super::SettingChange { key, from, to }).collect()
}

impl<C> Default for Layers<C> {
    fn default() -> Self {
        Layers {
            file_defaults: Vec::new(),
            environment_defaults: Vec::new(),
            file: BTreeMap::new(),
            environment: BTreeMap::new(),
        }
    }
}

impl<C> fmt::Debug for Given<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} from {}", self.key, self.source)
    }
}

impl<C> fmt::Debug for Layers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layers { file_defaults, environment_defaults, file, environment } = self;
        f.debug_struct("Layers")
            .field("file_defaults", file_defaults)
            .field("environment_defaults", environment_defaults)
            .field("file", file)
            .field("environment", environment)
            .finish()
    }
}
