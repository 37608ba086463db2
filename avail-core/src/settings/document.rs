//! The file: TOML, with the line of every value.
//!
//! It is walked by the table of keys and not by serde: so a mistake does not hide the next one, a
//! wrong key gets a suggestion, and every value knows where it stands, for what is only found to be
//! wrong when it is laid over what the code declares.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Places, SettingProblem, SettingSource};
use super::keys::Configured;
use super::overlay::{Given, Layers, Overlay};
use super::value::Raw;
use crate::breaker::CircuitBreakerConfig;
use crate::health::HealthCheck;
use crate::health::dependencies::nearest;

/// The table of what holds for all.
const DEFAULTS: &str = "defaults";

/// Adds what the file says.
pub(super) fn read(
    path: &Arc<Path>,
    text: &str,
    overlay: &mut Overlay,
    problems: &mut Vec<SettingProblem>,
) {
    let mut document = Document { places: Places::new(path, text), problems };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        document.complain(&error.span().unwrap_or_default(), error.message());
    }
    if errors.is_empty() {
        document.read(table.get_ref(), overlay);
    }
}

struct Document<'a> {
    places: Places<'a>,
    problems: &'a mut Vec<SettingProblem>,
}

impl Document<'_> {
    fn source(&self, span: &Range<usize>) -> SettingSource {
        self.places.of(span.start)
    }

    fn complain(&mut self, span: &Range<usize>, problem: impl Into<String>) {
        let source = self.source(span);
        self.problems.push(SettingProblem::at(source, problem));
    }

    fn read(&mut self, table: &DeTable<'_>, overlay: &mut Overlay) {
        const TABLES: [&str; 3] = [DEFAULTS, CircuitBreakerConfig::TABLE, HealthCheck::TABLE];
        for (key, value) in table {
            match key.get_ref().as_ref() {
                DEFAULTS => self.read_defaults(value, overlay),
                CircuitBreakerConfig::TABLE => self.read_named(value, &mut overlay.breakers),
                HealthCheck::TABLE => self.read_named(value, &mut overlay.checks),
                other => self.no_such_table(&key.span(), "", other, &TABLES),
            }
        }
    }

    fn read_defaults(&mut self, value: &Spanned<DeValue<'_>>, overlay: &mut Overlay) {
        const TABLES: [&str; 2] = [CircuitBreakerConfig::TABLE, HealthCheck::TABLE];
        let Some(table) = self.table(value, "[defaults.breaker]") else { return };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                CircuitBreakerConfig::TABLE => {
                    let given = self.read_settings(value, "[defaults.breaker]");
                    overlay.breakers.file_defaults.extend(given);
                }
                HealthCheck::TABLE => {
                    let given = self.read_settings(value, "[defaults.check]");
                    overlay.checks.file_defaults.extend(given);
                }
                other => self.no_such_table(&key.span(), "defaults.", other, &TABLES),
            }
        }
    }

    fn no_such_table(&mut self, at: &Range<usize>, within: &str, name: &str, known: &[&str]) {
        let known: Vec<_> = known.iter().map(|known| format!("{within}{known}")).collect();
        let name = format!("{within}{name}");
        self.complain(
            at,
            match nearest(&name, &known) {
                Some(nearest) => format!("there is no `{name}`: did you mean `{nearest}`?"),
                None => format!("there is no `{name}`, but `{}`", known.join("`, `")),
            },
        );
    }

    /// `[breaker.name]`, `[breaker."app::name"]`.
    fn read_named<C: Configured>(&mut self, value: &Spanned<DeValue<'_>>, layers: &mut Layers<C>) {
        let example = format!("[{}.name]", C::TABLE);
        let Some(table) = self.table(value, &example) else { return };
        for (name, settings) in table {
            let given = self.read_settings(settings, &example);
            let source = self.source(&name.span());
            layers.file.insert(Arc::from(name.get_ref().as_ref()), (source, given));
        }
    }

    fn table<'a, 'i>(
        &mut self,
        value: &'a Spanned<DeValue<'i>>,
        example: &str,
    ) -> Option<&'a DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let got = raw(value.get_ref());
            self.complain(&value.span(), format!("expected a table, as `{example}`, got {got}"));
        }
        table
    }

    fn read_settings<C: Configured>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        example: &str,
    ) -> Vec<Given<C>> {
        let Some(table) = self.table(value, example) else { return Vec::new() };
        let mut all = Vec::new();
        for (name, value) in table {
            let (name, at) = (name.get_ref().as_ref(), name.span());
            match C::key(name) {
                Ok(key) => match key.read(&raw(value.get_ref())) {
                    Ok(set) => all.push(Given { key, set, source: self.source(&value.span()) }),
                    Err(expected) => {
                        let got = raw(value.get_ref());
                        let problem = format!("`{name}`: expected {expected}, got {got}");
                        self.complain(&value.span(), problem);
                    }
                },
                Err(_) if value.get_ref().is_table() => {
                    let problem = if example.starts_with("[defaults") {
                        format!("`{example}` is for all: for one, write `[{}.{name}]`", C::TABLE)
                    } else {
                        format!("`{name}` is a table: a name with dots in it has to be quoted")
                    };
                    self.complain(&at, problem);
                }
                Err(problem) => self.complain(&at, problem),
            }
        }
        all
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            let parsed = i64::from_str_radix(integer.as_str(), integer.radix());
            parsed.map_or(Raw::Other("an integer of more than 64 bits"), Raw::Integer)
        }
        DeValue::Float(float) => {
            float.as_str().parse().map_or(Raw::Other("no number"), Raw::Number)
        }
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Array(list) => Raw::List(list.iter().map(|one| raw(one.get_ref())).collect()),
        DeValue::Datetime(_) => Raw::Other("a date or time"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}
