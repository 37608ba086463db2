//! The environment: `AVAIL_BREAKER_STORAGE__FAILURE_THRESHOLD=10`.

use std::sync::Arc;

use super::error::{SettingProblem, SettingSource, SettingsWarning};
use super::keys::Configured;
use super::overlay::{Given, Layers, Overlay};
use super::value::Raw;
use crate::breaker::CircuitBreakerConfig;
use crate::health::HealthCheck;
use crate::health::dependencies::nearest;

/// What stands for a name in a variable: upper case, and `_` for every character that is no letter
/// or digit of ASCII.
pub(crate) fn variable_of(name: &str) -> String {
    let upper = name.chars().map(|c| c.to_ascii_uppercase());
    upper.map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What all of them begin with.
const PREFIX: &str = "AVAIL_";

/// What the variables for all that nobody has heard of begin with.
const DEFAULTS: &str = "AVAIL_DEFAULTS_";

/// Adds what the variables say. One that is empty says nothing.
pub(super) fn read(
    variables: impl IntoIterator<Item = (String, String)>,
    overlay: &mut Overlay,
    problems: &mut Vec<SettingProblem>,
) {
    let is_ours = |(name, value): &(String, String)| {
        let prefix = name.get(..PREFIX.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX)) && !value.is_empty()
    };
    let mut ours: Vec<_> = variables.into_iter().filter(is_ours).collect();
    ours.sort();
    for (name, value) in ours {
        let source = SettingSource::Variable(name.as_str().into());
        if let Err(problem) = read_one(&name, value, &source, overlay) {
            problems.push(SettingProblem::at(source, problem));
        }
    }
}

fn read_one(
    name: &str,
    value: String,
    source: &SettingSource,
    overlay: &mut Overlay,
) -> Result<(), String> {
    let value = Raw::Word(value);
    if let Some(read) = read_as(name, &value, source, &mut overlay.breakers) {
        return read;
    }
    if let Some(read) = read_as(name, &value, source, &mut overlay.checks) {
        return read;
    }
    match name.strip_prefix(DEFAULTS) {
        Some(_) => Err(format!(
            "expected `{}KEY` or `{}KEY`",
            CircuitBreakerConfig::DEFAULTS,
            HealthCheck::DEFAULTS
        )),
        None => {
            // `__` is what makes it look like one; `AVAIL_BREAKERS` and `AVAIL_LISTEN` have none.
            if name.contains("__") {
                let (source, nearest) = (source.clone(), meant_by(name));
                let name = name.into();
                overlay.strangers.push(SettingsWarning { source, name, nearest, noun: "setting" });
            }
            Ok(())
        }
    }
}

/// What a variable that is no setting may have been meant to be.
fn meant_by(name: &str) -> Option<Arc<str>> {
    const WORDS: [&str; 3] = ["BREAKER", "CHECK", "DEFAULTS"];
    let upper = name.to_ascii_uppercase();
    let (word, rest) = upper.strip_prefix(PREFIX)?.split_once('_')?;
    let word = nearest(word, &WORDS)?;
    Some(format!("{PREFIX}{word}_{rest}").into())
}

/// `None`: the variable is about something else.
fn read_as<C: Configured>(
    variable: &str,
    value: &Raw,
    source: &SettingSource,
    layers: &mut Layers<C>,
) -> Option<Result<(), String>> {
    if let Some(key) = variable.strip_prefix(C::DEFAULTS) {
        let given = given(key, value, source);
        return Some(given.map(|given| layers.environment_defaults.push(given)));
    }
    let rest = variable.strip_prefix(C::VARIABLES)?;
    // At the last of them: a name may have some too.
    let Some((name, key)) = rest.rsplit_once("__").filter(|(name, _)| !name.is_empty()) else {
        let expected = format!("expected `{}NAME__KEY`, with `__` before the key", C::VARIABLES);
        return Some(Err(expected));
    };
    let given = given(key, value, source);
    Some(given.map(|given| layers.environment.entry(name.into()).or_default().push(given)))
}

fn given<C: Configured>(
    key: &str,
    value: &Raw,
    source: &SettingSource,
) -> Result<Given<C>, String> {
    let upper = key.to_ascii_uppercase();
    if key != upper {
        return Err(format!("variables are in upper case: expected `{upper}` and not `{key}`"));
    }
    let key = C::key(&key.to_ascii_lowercase())?;
    let set = key.read(value).map_err(|expected| format!("expected {expected}, got {value}"))?;
    Ok(Given { key, set, source: source.clone() })
}
