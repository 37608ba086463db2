//! Settings from outside: a file and the environment, laid over what the code declares. All of it is
//! pure: whoever reads the file and the variables passes them in.
//!
//! | file | what it holds |
//! |---|---|
//! | `keys` | which settings can be given, and what each takes |
//! | `value` | a value as given, and what it can be |
//! | `document` | the file |
//! | `variables` | the environment |
//! | `overlay` | which value holds, and what it comes to with what is declared |
//! | `change` | what a reload has changed |
//! | `error` | where a setting was given, and what is wrong with it |

mod change;
mod document;
mod error;
mod keys;
mod overlay;
mod value;
mod variables;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use self::change::{ComponentChange, Configurable, Reload, SettingChange};
pub use self::error::{SettingProblem, SettingSource, SettingsError, SettingsWarning};

pub(crate) use self::overlay::{Overlay, Subject, Tuned, Unfit, differences};

/// The text of a file.
///
/// # Errors
///
/// Where it is not UTF-8, with the place.
pub(crate) fn text_of(path: &Arc<Path>, bytes: Vec<u8>) -> Result<String, SettingsError> {
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..end]);
        let source = error::Places::new(path, &before).of(end);
        SettingsError::of(SettingProblem::at(source, "the file is not UTF-8 from here on"))
    })
}

impl Overlay {
    /// What a file of that text and the variables say.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them by themselves.
    pub(crate) fn read(
        file: Option<(&Arc<Path>, &str)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Overlay, SettingsError> {
        let mut overlay = Overlay { has_file: file.is_some(), ..Overlay::default() };
        let mut problems = Vec::new();
        if let Some((path, text)) = file {
            document::read(path, text, &mut overlay, &mut problems);
        }
        variables::read(variables, &mut overlay, &mut problems);
        problems.sort_by(|a, b| a.sources.cmp(&b.sources)); // in the order of the lines
        SettingsError::unless_none(problems)?;
        Ok(overlay)
    }
}
