//! What a client sent, said back to it: short, on one line, and never as markup, wherever the text
//! ends up.

use std::fmt::{self, Write};

/// How much of it is said.
const LONGEST: usize = 64;

/// A text of a client's, as an error quotes it.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('`')?;
        for c in self.0.chars().take(LONGEST) {
            if c.is_alphanumeric() || "-_.:,;+*/@#=!?()[]{}~ ".contains(c) {
                f.write_char(c)?;
            } else {
                write!(f, "{}", c.escape_unicode())?;
            }
        }
        if self.0.chars().nth(LONGEST).is_some() {
            f.write_char('…')?;
        }
        f.write_char('`')
    }
}

/// A message of ours or of a library's that may quote what a client sent.
pub(crate) fn defused(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for c in message.chars().take(8 * LONGEST) {
        if c.is_control() || "<>&\"'".contains(c) {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_markup_or_another_line_is_escaped_and_the_rest_is_short() {
        let long = "x".repeat(65);
        let table = [
            ("storage", "`storage`".to_owned()),
            ("app::db main/ü", "`app::db main/ü`".to_owned()),
            ("<b>&\"'", "`\\u{3c}b\\u{3e}\\u{26}\\u{22}\\u{27}`".to_owned()),
            ("a\r\nb`", "`a\\u{d}\\u{a}b\\u{60}`".to_owned()),
            ("\u{202e}", "`\\u{202e}`".to_owned()),
            (&long, format!("`{}…`", "x".repeat(64))),
            ("", "``".to_owned()),
        ];
        for (text, quoted) in table {
            assert_eq!(Quoted(text).to_string(), quoted);
        }
    }
}
