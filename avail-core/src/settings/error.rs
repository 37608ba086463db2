//! Where a setting was given, and what is wrong with it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Where a setting was given from outside.
///
/// It is written, with `{}` and in JSON, as `avail.toml:3:21` or as the variable's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SettingSource {
    /// In the configuration file.
    #[non_exhaustive]
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
        /// The character in it, from 1.
        column: usize,
    },
    /// By this environment variable.
    Variable(Arc<str>),
}

/// The places of a file's text.
pub(super) struct Places<'a> {
    path: &'a Arc<Path>,
    text: &'a str,
    /// Where each line begins: to count them anew for each value would take the square of a long
    /// file's length.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(path: &'a Arc<Path>, text: &'a str) -> Self {
        let further = text.match_indices('\n').map(|(end, _)| end + 1);
        Places { path, text, lines: [0].into_iter().chain(further).collect() }
    }

    /// The place of a byte.
    pub(super) fn of(&self, offset: usize) -> SettingSource {
        // Not in the middle of a character.
        let offset = offset.min(self.text.len());
        let offset = (0..=offset).rev().find(|offset| self.text.is_char_boundary(*offset));
        let offset = offset.unwrap_or_default();
        let line = self.lines.partition_point(|start| *start <= offset);
        let column = self.text[self.lines[line - 1]..offset].chars().count() + 1;
        SettingSource::File { path: self.path.clone(), line, column }
    }
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingSource::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            SettingSource::Variable(name) => f.write_str(name),
        }
    }
}

impl Serialize for SettingSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that is wrong with what was given from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SettingProblem {
    /// Where it was given; several places where what they say can't hold together.
    pub sources: Vec<SettingSource>,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl SettingProblem {
    pub(super) fn at(source: SettingSource, problem: impl Into<String>) -> Self {
        SettingProblem { sources: vec![source], problem: problem.into() }
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, source) in self.sources.iter().enumerate() {
            write!(f, "{}{source}", if number == 0 { "" } else { ", " })?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What is wrong with what was given from outside: all of it, so that it can be mended in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<SettingProblem>,
}

impl SettingsError {
    /// `Ok` where nothing is wrong.
    pub(crate) fn unless_none(problems: Vec<SettingProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(SettingsError { problems }) }
    }

    pub(crate) fn of(problem: SettingProblem) -> Self {
        SettingsError { problems: vec![problem] }
    }

    /// Each of them; there is at least one.
    pub fn problems(&self) -> &[SettingProblem] {
        &self.problems
    }
}

/// So many problems are written; a file that is none has one in each line.
const SHOWN: usize = 20;

/// A line for each problem, of the first twenty.
impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().take(SHOWN).enumerate() {
            write!(f, "{}{problem}", if number == 0 { "" } else { "\n" })?;
        }
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for SettingsError {}

/// Something that was given for a circuit breaker or a health check that is not there: it holds as
/// soon as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SettingsWarning {
    /// Where it was given.
    pub source: SettingSource,
    /// The name, or what stands for it in the variable.
    pub name: Arc<str>,
    /// What may have been meant.
    pub nearest: Option<Arc<str>>,
    /// `circuit breaker` or `health check`.
    pub(super) noun: &'static str,
}

impl fmt::Display for SettingsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingsWarning { source, name, nearest, noun } = self;
        write!(f, "{source}: there is no {noun} `{name}` so far")?;
        match nearest {
            Some(nearest) => write!(f, ": did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let path: Arc<Path> = Path::new("avail.toml").into();
        let text = "a = 1\nß = \"é\" # x\n";
        let places = Places::new(&path, text);
        let place = |offset| places.of(offset).to_string();
        assert_eq!(place(0), "avail.toml:1:1");
        assert_eq!(place(4), "avail.toml:1:5");
        assert_eq!(place(6), "avail.toml:2:1");
        assert_eq!(place(text.find('"').expect("there is one")), "avail.toml:2:5");
        assert_eq!(place(text.find('#').expect("there is one")), "avail.toml:2:9");
        assert_eq!(place(7), "avail.toml:2:1", "in the middle of a character");
        assert_eq!(place(10_000), "avail.toml:3:1");
    }
}
