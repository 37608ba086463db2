//! What a key takes, and how it goes into the expansion.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Error, Expr, ExprLit, ExprPath, Ident, Lit, Path, Result};

use super::literal::{duration, integer, number, percentage, share};

/// What a key takes.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    /// A string, or the path to a constant one.
    Name,
    /// A list of such.
    Names,
    /// A string.
    Text,
    /// An integer from 1 to this.
    Count(u32),
    /// A duration longer than zero.
    Duration,
    /// A duration, which may be zero.
    Delay,
    /// A number above 0 and below 100.
    Percentage,
    /// A number above 0 and at most 1, or a percentage.
    Share,
    /// A number of at least 1.
    Factor,
    /// A number of at least 0, and below 1.
    Spread,
    /// A number of calls, up to this, or a duration longer than zero.
    Window(u32),
    /// A duration, or `"never"`.
    CancelFailure,
    Flag,
    /// A word, and the name that it has in avail's enum.
    Choice(&'static [(&'static str, &'static str)]),
    /// An expression, or a closure of one argument.
    Fallback,
    /// A path, or a closure of one argument, which is this.
    Predicate(&'static str),
    /// An expression, and no closure.
    Key,
    /// The path to avail.
    Path,
    /// Nothing: it belongs elsewhere, and this is where.
    Elsewhere(&'static str),
}

/// What a key was given.
pub(crate) enum Value {
    Name(Expr),
    Names(Vec<Expr>),
    Text(String),
    Count(u32),
    Duration(Duration),
    Number(f64),
    WindowOfCalls(u32),
    WindowOfTime(Duration),
    /// `None`: never.
    CancelFailure(Option<Duration>),
    Flag(bool),
    Choice(&'static str),
    Code(Expr),
    Path(Path),
}

impl Takes {
    pub(crate) fn expected(&self) -> String {
        const SUCH_AS: &str =
            "such as `\"60s\"`, `\"1m 30s\"` or `\"500ms\"`, or a number of seconds";
        match self {
            Takes::Name => "a string, or the path to a `const` of type `&str`".into(),
            Takes::Names => "a list of strings, such as `[\"postgres\"]`".into(),
            Takes::Text => "a string that is not empty".into(),
            Takes::Count(most) => format!("an integer from 1 to {most}"),
            Takes::Duration => format!("a duration longer than zero, {SUCH_AS}"),
            Takes::Delay => format!("a duration, {SUCH_AS}"),
            Takes::Percentage => {
                "a percentage above 0 and below 100, such as `99.95` or `\"99.95%\"`".into()
            }
            Takes::Share => {
                "a share above 0 and at most 1, such as `0.5`, or a percentage, such as `\"50%\"`"
                    .into()
            }
            Takes::Factor => "a number of at least 1, such as `2` or `1.5`".into(),
            Takes::Spread => "a number of at least 0 and below 1, such as `0.1`".into(),
            Takes::Window(most) => format!(
                "a number of calls from 1 to {most}, or a duration longer than zero, such as \
                 `\"30s\"`"
            ),
            Takes::CancelFailure => format!("`\"never\"`, or a duration, {SUCH_AS}"),
            Takes::Flag => "`true` or `false`".into(),
            Takes::Choice(words) => {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word:?}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Takes::Fallback => {
                "an expression, or a closure that takes the `CircuitBreakerError`".into()
            }
            Takes::Predicate(argument) => {
                format!(
                    "a path to a function, or a closure, that takes {argument} and returns a `bool`"
                )
            }
            Takes::Key => {
                "an expression over the arguments, such as `tenant` or `&request.host`".into()
            }
            Takes::Path => "the path to the crate `avail`".into(),
            Takes::Elsewhere(problem) => (*problem).into(),
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
            (Takes::Fallback, Expr::Closure(closure)) if closure.inputs.len() != 1 => None,
            (Takes::Key, Expr::Closure(_)) => None,
            (Takes::Fallback | Takes::Key, given) => Some(Value::Code(given)),
            (Takes::Predicate(_), given) => is_predicate(&given).then_some(Value::Code(given)),
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
            (Takes::Text, Lit::Str(text)) => {
                Some(text.value()).filter(|text| !text.is_empty()).map(Value::Text)
            }
            (Takes::Count(most), lit) => count(&lit, *most).map(Value::Count),
            (Takes::Duration, lit) => {
                duration(&lit).filter(|duration| !duration.is_zero()).map(Value::Duration)
            }
            (Takes::Delay, lit) => duration(&lit).map(Value::Duration),
            (Takes::Percentage, lit) => percentage(&lit).map(Value::Number),
            (Takes::Share, lit) => share(&lit).map(Value::Number),
            (Takes::Factor, lit) => number(&lit).filter(|factor| *factor >= 1.0).map(Value::Number),
            (Takes::Spread, lit) => {
                number(&lit).filter(|share| (0.0..1.0).contains(share)).map(Value::Number)
            }
            (Takes::Window(most), lit @ Lit::Int(_)) => {
                count(&lit, *most).map(Value::WindowOfCalls)
            }
            (Takes::Window(_), lit @ Lit::Str(_)) => {
                duration(&lit).filter(|length| !length.is_zero()).map(Value::WindowOfTime)
            }
            (Takes::CancelFailure, Lit::Str(text)) if text.value() == "never" => {
                Some(Value::CancelFailure(None))
            }
            (Takes::CancelFailure, lit) => {
                duration(&lit).map(|after| Value::CancelFailure(Some(after)))
            }
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
    /// The call of the setter that is named as the key; `None`: the key is not a setting.
    pub(crate) fn setter(&self, key: &str, krate: &TokenStream) -> Option<TokenStream> {
        let here = Span::mixed_site();
        let argument = match self {
            Value::Count(count) => count.to_token_stream(),
            Value::Duration(time) => duration_tokens(*time, krate),
            Value::Number(number) => number.to_token_stream(),
            Value::WindowOfCalls(calls) => {
                quote_spanned!(here=> #krate::__private::RateWindow::Calls(#calls))
            }
            Value::WindowOfTime(length) => {
                let length = duration_tokens(*length, krate);
                quote_spanned!(here=> #krate::__private::RateWindow::Time(#length))
            }
            Value::CancelFailure(Some(after)) => {
                let after = duration_tokens(*after, krate);
                quote_spanned!(here=> #krate::__private::CancelFailure::After(#after))
            }
            Value::CancelFailure(None) => {
                quote_spanned!(here=> #krate::__private::CancelFailure::Never)
            }
            Value::Flag(flag) => flag.to_token_stream(),
            Value::Name(name) => name.to_token_stream(),
            Value::Names(names) => quote_spanned!(here=> &[#(#names),*]),
            Value::Choice(variant) => {
                let variant = Ident::new(variant, here);
                quote_spanned!(here=> #krate::__private::Probe::#variant)
            }
            Value::Code(_) | Value::Path(_) | Value::Text(_) => return None,
        };
        let key = Ident::new(key, here);
        Some(quote_spanned!(here=> .#key(#argument)))
    }
}

fn duration_tokens(time: Duration, krate: &TokenStream) -> TokenStream {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    quote_spanned!(Span::mixed_site()=> #krate::__private::Duration::new(#seconds, #nanos))
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

fn is_predicate(expr: &Expr) -> bool {
    match expr {
        Expr::Closure(closure) => closure.inputs.len() == 1 && closure.asyncness.is_none(),
        Expr::Path(_) => true,
        _ => false,
    }
}

fn count(lit: &Lit, most: u32) -> Option<u32> {
    integer(lit).filter(|count| (1..=most).contains(count))
}
