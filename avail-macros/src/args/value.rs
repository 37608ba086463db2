//! What a key takes, and how it goes into the expansion.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Error, Expr, ExprLit, ExprPath, Ident, Lit, Path, Result};

/// What a key takes.
pub(crate) enum Takes {
    /// A string, or the path to a constant one.
    Name,
    /// A list of such.
    Names,
    /// An integer of at least 1.
    Count,
    /// A duration longer than zero.
    Duration,
    /// A duration, which may be zero.
    Delay,
    /// A number above 0 and below 100.
    Percentage,
    Flag,
    /// A word, and the name that it has in avail's enum.
    Choice(&'static [(&'static str, &'static str)]),
    /// An expression, or a closure of one argument.
    Fallback,
    /// The path to avail.
    Path,
}

/// What a key was given.
pub(crate) enum Value {
    Name(Expr),
    Names(Vec<Expr>),
    Count(u32),
    Duration(Duration),
    Percentage(f64),
    Flag(bool),
    Choice(&'static str),
    Fallback(Expr),
    Path(Path),
}

impl Takes {
    pub(crate) fn expected(&self) -> String {
        const SUCH_AS: &str =
            "such as `\"60s\"`, `\"1m 30s\"` or `\"500ms\"`, or a number of seconds";
        match self {
            Takes::Name => "a string, or the path to a `const` of type `&str`".into(),
            Takes::Names => "a list of strings, such as `[\"postgres\"]`".into(),
            Takes::Count => format!("an integer from 1 to {}", u32::MAX),
            Takes::Duration => format!("a duration longer than zero, {SUCH_AS}"),
            Takes::Delay => format!("a duration, {SUCH_AS}"),
            Takes::Percentage => {
                "a percentage above 0 and below 100, such as `99.95` or `\"99.95%\"`".into()
            }
            Takes::Flag => "`true` or `false`".into(),
            Takes::Choice(words) => {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word:?}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Takes::Fallback => {
                "an expression, or a closure that takes the `CircuitBreakerError`".into()
            }
            Takes::Path => "the path to the crate `avail`".into(),
        }
    }

    /// The value of a key that stands alone.
    pub(crate) fn without_value(&self) -> Option<Value> {
        matches!(self, Takes::Flag).then_some(Value::Flag(true))
    }

    pub(crate) fn read(&self, given: Expr) -> Result<Value> {
        let mistake = Error::new_spanned(&given, format!("expected {}", self.expected()));
        self.understand(ungrouped(given)).ok_or(mistake)
    }

    fn understand(&self, given: Expr) -> Option<Value> {
        match (self, given) {
            (Takes::Fallback, given) => is_fallback(&given).then_some(Value::Fallback(given)),
            (Takes::Name, given @ Expr::Path(_)) => Some(Value::Name(given)),
            (Takes::Names, Expr::Array(list)) => {
                let names =
                    list.elems.into_iter().map(|name| Takes::Name.understand(ungrouped(name)));
                let names = names.map(|name| match name {
                    Some(Value::Name(name)) => Some(name),
                    _ => None,
                });
                names.collect::<Option<_>>().map(Value::Names)
            }
            (Takes::Path, Expr::Path(ExprPath { qself: None, path, .. })) => {
                Some(Value::Path(path))
            }
            (_, Expr::Lit(ExprLit { lit, .. })) => self.understand_literal(lit),
            _ => None,
        }
    }

    fn understand_literal(&self, lit: Lit) -> Option<Value> {
        match (self, lit) {
            (Takes::Name, Lit::Str(name)) if !name.value().is_empty() => {
                let lit = Lit::Str(name);
                Some(Value::Name(Expr::Lit(ExprLit { attrs: Vec::new(), lit })))
            }
            (Takes::Count, Lit::Int(count)) => {
                count.base10_parse().ok().filter(|count| *count > 0).map(Value::Count)
            }
            (Takes::Duration, lit) => {
                duration(&lit).filter(|duration| !duration.is_zero()).map(Value::Duration)
            }
            (Takes::Delay, lit) => duration(&lit).map(Value::Duration),
            (Takes::Percentage, lit) => percentage(&lit).map(Value::Percentage),
            (Takes::Flag, Lit::Bool(flag)) => Some(Value::Flag(flag.value)),
            (Takes::Choice(words), Lit::Str(given)) => {
                let given = given.value();
                let known = words.iter().find(|(word, _)| *word == given);
                known.map(|(_, variant)| Value::Choice(variant))
            }
            _ => None,
        }
    }
}

impl Value {
    /// As the argument of the setter that is named as the key; `None`: the key is not a setting.
    pub(crate) fn setting(&self, krate: &TokenStream) -> Option<TokenStream> {
        let here = Span::mixed_site();
        Some(match self {
            Value::Count(count) => count.to_token_stream(),
            Value::Duration(duration) => {
                let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
                quote_spanned!(here=> #krate::__private::Duration::new(#seconds, #nanos))
            }
            Value::Percentage(percent) => percent.to_token_stream(),
            Value::Flag(flag) => flag.to_token_stream(),
            Value::Names(names) => quote_spanned!(here=> &[#(#names),*]),
            Value::Choice(variant) => {
                let variant = Ident::new(variant, here);
                quote_spanned!(here=> #krate::__private::Probe::#variant)
            }
            Value::Name(_) | Value::Fallback(_) | Value::Path(_) => return None,
        })
    }
}

/// The position of an expression's first token.
pub(super) fn span(expr: &Expr) -> Span {
    let first = expr.to_token_stream().into_iter().next();
    first.map_or_else(Span::call_site, |token| token.span())
}

/// Without the invisible group around what `macro_rules!` passed on.
fn ungrouped(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
    }
}

fn is_fallback(expr: &Expr) -> bool {
    match expr {
        Expr::Closure(closure) => closure.inputs.len() == 1,
        _ => true,
    }
}

fn duration(lit: &Lit) -> Option<Duration> {
    match lit {
        Lit::Str(text) => humantime::parse_duration(&text.value()).ok(),
        Lit::Int(seconds) if seconds.suffix().is_empty() => {
            seconds.base10_parse().ok().map(Duration::from_secs)
        }
        Lit::Float(seconds) if seconds.suffix().is_empty() => seconds
            .base10_parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        _ => None,
    }
}

fn percentage(lit: &Lit) -> Option<f64> {
    let percent: f64 = match lit {
        Lit::Str(text) => text.value().strip_suffix('%')?.trim_end().parse().ok()?,
        Lit::Int(percent) if percent.suffix().is_empty() => percent.base10_parse().ok()?,
        Lit::Float(percent) if percent.suffix().is_empty() => percent.base10_parse().ok()?,
        _ => return None,
    };
    (percent > 0.0 && percent < 100.0).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_numbers_or_text_and_neither_nothing_nor_all() {
        let cases = [
            ("99.95", Some(99.95)),
            ("99", Some(99.0)),
            ("\"99.95%\"", Some(99.95)),
            ("\"99.95 %\"", Some(99.95)),
            ("0.001", Some(0.001)),
            ("0", None),
            ("100", None),
            ("100.0", None),
            ("\"100%\"", None),
            ("\"99.95\"", None),
            ("\"NaN%\"", None),
            ("99.9f64", None),
            ("true", None),
        ];
        for (text, expected) in cases {
            let lit = syn::parse_str(text).expect(text);
            assert_eq!(percentage(&lit), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_text_or_seconds() {
        let cases = [
            ("\"60s\"", Some(Duration::from_secs(60))),
            ("\"1m 30s\"", Some(Duration::from_secs(90))),
            ("\"500ms\"", Some(Duration::from_millis(500))),
            ("60", Some(Duration::from_secs(60))),
            ("1_000", Some(Duration::from_secs(1000))),
            ("0.25", Some(Duration::from_millis(250))),
            ("0", Some(Duration::ZERO)),
            ("\"60\"", None),
            ("\"\"", None),
            ("\"-1s\"", None),
            ("\"soon\"", None),
            ("60u64", None),
            ("1e300", None),
            ("true", None),
        ];
        for (text, expected) in cases {
            let lit = syn::parse_str(text).expect(text);
            assert_eq!(duration(&lit), expected, "{text}");
        }
    }
}
