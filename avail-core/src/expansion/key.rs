//! The text of a family's key, for `key = …`.

use std::fmt::{self, Display, Write};

/// A key, as the attribute's expression gave it.
#[derive(Debug)]
pub struct KeyOf<'a, K>(pub &'a K);

/// The key's text: what it is, or how it is shown. What is text already is chosen first, since it
/// asks for one more reference (as in [`Judge`](super::Judge)).
pub trait Keyed {
    /// The key's type.
    type Key;

    /// Calls `find` with the text.
    fn avail_key<B>(&self, find: impl FnOnce(&str) -> B) -> B
    where
        Self::Key: Text;
}

impl<K: AsRef<str>> Keyed for &KeyOf<'_, K> {
    type Key = Known;

    #[inline]
    fn avail_key<B>(&self, find: impl FnOnce(&str) -> B) -> B {
        find(self.0.as_ref())
    }
}

impl<K> Keyed for KeyOf<'_, K> {
    type Key = K;

    #[inline]
    fn avail_key<B>(&self, find: impl FnOnce(&str) -> B) -> B
    where
        K: Text,
    {
        let mut line = Line::default();
        self.0.write(&mut line);
        find(line.text())
    }
}

/// What can be shown as text.
#[diagnostic::on_unimplemented(
    message = "the key of a circuit breaker must be text, and `{Self}` can't be shown as text",
    label = "`{Self}` is neither `AsRef<str>` nor `Display`",
    note = "give an expression of a string, a number, or anything else that is `Display`"
)]
pub trait Text {
    /// Shows it.
    fn write(&self, line: &mut Line);
}

#[diagnostic::do_not_recommend] // else the message is the compiler's about `Display`
impl<K: Display> Text for K {
    fn write(&self, line: &mut Line) {
        // A line takes everything; an error is of the key's own making, and what it wrote stands.
        let _ = write!(line, "{self}");
    }
}

/// Text that needs no showing.
#[derive(Debug)]
pub struct Known;

impl Display for Known {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Text on the stack while it is short: numbers and UUIDs are. What is longer is allocated.
#[derive(Debug)]
pub struct Line {
    short: [u8; SHORT],
    length: usize,
    long: String,
}

const SHORT: usize = 48;

impl Default for Line {
    fn default() -> Self {
        Line { short: [0; SHORT], length: 0, long: String::new() }
    }
}

impl Line {
    fn text(&self) -> &str {
        if self.long.is_empty() { self.short() } else { &self.long }
    }

    fn short(&self) -> &str {
        // Whole strings were written: it is UTF-8.
        std::str::from_utf8(&self.short[..self.length]).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length + part.len();
        match self.short.get_mut(self.length..end) {
            Some(place) if self.long.is_empty() => {
                place.copy_from_slice(part.as_bytes());
                self.length = end;
            }
            _ => {
                if self.long.is_empty() {
                    self.long = self.short().to_owned();
                }
                self.long.push_str(part);
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use super::*;

    struct Shown(&'static [&'static str]);

    impl Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|part| f.write_str(part))
        }
    }

    const FORTY: &str = "0123456789012345678901234567890123456789";

    /// As the expansion calls it, where lints keep quiet.
    macro_rules! text_of {
        ($key:expr, $find:expr) => {
            (&&KeyOf(&$key)).avail_key($find)
        };
    }

    #[test]
    fn text_is_taken_as_it_is_and_anything_else_as_it_is_shown() {
        let text = String::from("acme");
        let place = |text: &str| text.as_ptr();
        assert_eq!(text_of!(text, place), text.as_ptr());
        assert_eq!(text_of!(&text, place), text.as_ptr());
        assert_eq!(text_of!("acme", str::to_owned), "acme");
        assert_eq!(text_of!(-17_i64, str::to_owned), "-17");
        assert_eq!(text_of!('x', str::to_owned), "x");
    }

    #[test]
    fn what_is_shown_may_be_of_any_length_and_come_in_parts() {
        let cases: [(&'static [&'static str], String); 6] = [
            (&[], String::new()),
            (&["", "a", ""], "a".into()),
            (&[FORTY, "12345678"], format!("{FORTY}12345678")),
            (&[FORTY, "123456789"], format!("{FORTY}123456789")),
            (&[FORTY, FORTY, "é"], format!("{FORTY}{FORTY}é")),
            (&["é", FORTY, FORTY, "a"], format!("é{FORTY}{FORTY}a")),
        ];
        for (parts, text) in cases {
            assert_eq!(text_of!(Shown(parts), str::to_owned), text);
        }
    }
}
