//! The keys of an attribute. Each mistake is one error at its token, and the rest of the keys are
//! read all the same.

mod literal;
mod value;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, Ident, LitStr, Result, Token};

pub(crate) use self::value::{Takes, Value};

/// A key that an attribute knows.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    name: &'static str,
    takes: Takes,
}

impl Key {
    pub(crate) const fn new(name: &'static str, takes: Takes) -> Self {
        Key { name, takes }
    }
}

pub(crate) struct Arg {
    pub(crate) key: &'static str,
    pub(crate) value: Value,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// Where the value stands.
    pub(crate) span: Span,
}

/// The keys that were given.
#[derive(Default)]
pub(crate) struct Args {
    /// Each is valid for itself.
    valid: Vec<Arg>,
    /// Valid or not.
    given: Vec<&'static str>,
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream, keys: &[Key], errors: &mut Errors) -> Self {
        let mut args = Args::default();
        let read = |input: ParseStream<'_>| {
            args.read(input, keys, errors);
            Ok(())
        };
        let read = Parser::parse2(read, tokens);
        errors.note(read);
        args
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Arg> {
        self.valid.iter().find(|arg| arg.key == key)
    }

    /// Whether the key was given, with whatever value: one that is wrong has left an error.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.given.contains(&key)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Arg> {
        self.valid.iter()
    }

    fn read(&mut self, input: ParseStream<'_>, keys: &[Key], errors: &mut Errors) {
        while !input.is_empty() {
            let arg = read_arg(input, keys, &mut self.given).and_then(|arg| {
                let ended = input.is_empty() || input.peek(Token![,]);
                if ended { Ok(arg) } else { Err(input.error("expected `,` before the next key")) }
            });
            self.valid.extend(errors.note(arg));
            skip_past_comma(input);
        }
    }
}

fn read_arg(input: ParseStream<'_>, keys: &[Key], given: &mut Vec<&'static str>) -> Result<Arg> {
    let ident = read_key(input, keys)?;
    // The value is read before the key is judged: after a mistake, reading goes on behind it.
    let value = read_value(input)?;
    let Some(key) = keys.iter().find(|key| ident == key.name) else {
        return Err(unknown(&ident, keys));
    };
    if let Takes::Elsewhere(problem) = key.takes {
        return Err(Error::new(ident.span(), problem));
    }
    if given.contains(&key.name) {
        return Err(Error::new(ident.span(), format!("`{}` is given twice", key.name)));
    }
    given.push(key.name);
    let span = value.as_ref().map_or(ident.span(), value::span);
    let value = match value {
        Some(value) => key.takes.read(value),
        None => key.takes.without_value().ok_or_else(|| missing(&ident, key)),
    }?;
    Ok(Arg { key: key.name, value, key_span: ident.span(), span })
}

fn read_key(input: ParseStream<'_>, keys: &[Key]) -> Result<Ident> {
    if input.peek(LitStr) && known(keys).any(|key| key.name == "name") {
        let name: LitStr = input.parse()?;
        let problem = format!("expected a key: write `name = {:?}`", name.value());
        return Err(Error::new(name.span(), problem));
    }
    input.call(Ident::parse_any).map_err(|error| {
        Error::new(error.span(), format!("expected a key: one of {}", listed(keys)))
    })
}

/// `None`: there is no `=`, or nothing behind it.
fn read_value(input: ParseStream<'_>) -> Result<Option<Expr>> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(None);
    }
    if !input.peek(Token![=]) {
        return Err(input.error("expected `=` and a value"));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(None);
    }
    input.parse().map(Some)
}

fn skip_past_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        let _skipped = input.parse::<TokenTree>();
    }
    let _comma = input.parse::<Token![,]>();
}

fn missing(ident: &Ident, key: &Key) -> Error {
    let expected = key.takes.expected();
    Error::new(ident.span(), format!("`{}` needs a value: {expected}", key.name))
}

fn unknown(ident: &Ident, keys: &[Key]) -> Error {
    let given = ident.to_string();
    let nearest = known(keys)
        .map(|key| (distance(&given, key.name), key.name))
        .min()
        // So far that a typo could lead there, and not that any word would.
        .filter(|(distance, name)| *distance <= name.len().max(given.len()) / 3);
    let suggestion = match nearest {
        Some((_, name)) => format!(": did you mean `{name}`?"),
        None => String::new(),
    };
    let allowed = listed(keys);
    Error::new(ident.span(), format!("unknown key `{given}`{suggestion}\nallowed are {allowed}"))
}

fn listed(keys: &[Key]) -> String {
    let names: Vec<_> = known(keys).map(|key| format!("`{}`", key.name)).collect();
    names.join(", ")
}

fn known(keys: &[Key]) -> impl Iterator<Item = &Key> {
    keys.iter().filter(|key| !matches!(key.takes, Takes::Elsewhere(_)))
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

/// What is wrong with an attribute, all of it.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value, or `None` where there is an error, which is noted.
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// The value, or all errors: a value that is missing has left one.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T> {
        match (self.0, value) {
            (None, Some(value)) => Ok(value),
            (Some(errors), _) => Err(errors),
            (None, None) => Err(Error::new(Span::call_site(), "the attribute was not understood")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [Key; 4] = [
        Key::new("name", Takes::Name),
        Key::new("failure_threshold", Takes::Count(u32::MAX)),
        Key::new("timeout", Takes::Duration),
        Key::new("critical", Takes::Flag),
    ];

    fn problems(args: &str) -> Vec<String> {
        let mut errors = Errors::default();
        Args::parse(args.parse().expect("tokens"), &KEYS, &mut errors);
        let errors = errors.finish(Some(())).err();
        errors.into_iter().flatten().map(|error| error.to_string()).collect()
    }

    #[test]
    fn each_mistake_is_one_error() {
        const ALLOWED: &str = "allowed are `name`, `failure_threshold`, `timeout`, `critical`";
        let cases = [
            (
                "failure_treshold = 3",
                format!(
                    "unknown key `failure_treshold`: did you mean `failure_threshold`?\n{ALLOWED}"
                ),
            ),
            ("colour = |a, b| a", format!("unknown key `colour`\n{ALLOWED}")),
            ("\"storage\"", "expected a key: write `name = \"storage\"`".into()),
            ("name(\"storage\")", "expected `=` and a value".into()),
            ("critical, critical = false", "`critical` is given twice".into()),
            (
                "timeout",
                "`timeout` needs a value: a duration longer than zero, such as `\"60s\"`, \
                 `\"1m 30s\"` or `\"500ms\"`, or a number of seconds"
                    .into(),
            ),
            ("timeout = 5 critical", "expected `,` before the next key".into()),
            ("failure_threshold = 0", "expected an integer from 1 to 4294967295".into()),
        ];
        for (args, problem) in cases {
            assert_eq!(problems(args), [problem], "{args}");
        }
    }

    #[test]
    fn after_a_mistake_the_other_keys_are_read() {
        let problems = problems("colour = 1, timeout = \"soon\", failure_threshold = 0, critical");
        assert_eq!(problems.len(), 3);
    }

    #[test]
    fn what_is_right_has_no_errors() {
        for args in ["", "name = \"a\"", "name = names::STORAGE,", "critical, timeout = 1.5"] {
            assert_eq!(problems(args), [""; 0], "{args}");
        }
    }
}
