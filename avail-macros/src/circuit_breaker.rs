//! `#[circuit_breaker]`.

mod body;
mod find;
mod mentions;
mod methods;
mod rules;

use proc_macro2::TokenStream;
use syn::Result;

use self::body::Breaker;
use crate::args::{Args, Errors, Key, Takes};
use crate::block::Block;
use crate::item::Function;
use crate::shape::Shape;
use crate::wrap;

/// The largest number of probes, and of calls in a window, that a breaker counts.
const PROBE_LIMIT: u32 = 8_191;
const WINDOW_LIMIT: u32 = 1_000_000;

/// Of functions and blocks.
const KEYS: [Key; 24] = [
    Key::new("failure_threshold", Takes::Count(u32::MAX)),
    Key::new("success_threshold", Takes::Count(PROBE_LIMIT)),
    Key::new("timeout", Takes::Duration),
    Key::new("reset_timeout", Takes::Duration),
    Key::new("failure_rate", Takes::Share),
    Key::new("slow_call_rate", Takes::Share),
    Key::new("window", Takes::Window(WINDOW_LIMIT)),
    Key::new("min_calls", Takes::Count(u32::MAX)),
    Key::new("slow_call", Takes::Duration),
    Key::new("slow_in_flight", Takes::Flag),
    Key::new("call_timeout", Takes::Duration),
    Key::new("probe_timeout", Takes::Duration),
    Key::new("cancel_failure_after", Takes::CancelFailure),
    Key::new("max_timeout", Takes::Duration),
    Key::new("half_open_max_calls", Takes::Count(PROBE_LIMIT)),
    Key::new("backoff", Takes::Factor),
    Key::new("jitter", Takes::Spread),
    Key::new("failure_if", Takes::Predicate("`&Output`")),
    Key::new("ignore", Takes::Predicate("`&E`, the error of the `Result`,")),
    Key::new("fallback", Takes::Fallback),
    Key::new("recovery_check", Takes::Name),
    Key::new("critical", Takes::Flag),
    Key::new("shadow", Takes::Flag),
    Key::new("crate", Takes::Path),
];

/// Of functions.
const FUNCTION_KEYS: [Key; 4] = [
    Key::new("name", Takes::Name),
    Key::new("key", Takes::Key),
    Key::new("max_keys", Takes::Count(u32::MAX)),
    Key::new(
        "prefix",
        Takes::Elsewhere("`prefix` goes on an `impl` block: on a function, give its `name`"),
    ),
];

/// Of `impl` blocks.
const BLOCK_KEYS: [Key; 4] = [
    Key::new("prefix", Takes::Text),
    Key::new(
        "name",
        Takes::Elsewhere(
            "each method has a circuit breaker of its own, and one `name` would make them one: give \
             `prefix`, or put the attribute with a `name` on the method",
        ),
    ),
    Key::new(
        "key",
        Takes::Elsewhere("put the attribute with a `key` on the method: it is over its arguments"),
    ),
    Key::new(
        "max_keys",
        Takes::Elsewhere("put the attribute with `max_keys` and a `key` on the method"),
    ),
];

pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    if Block::is_one(item) {
        return methods::expand(args, item);
    }
    wrap::or_errors(item, try_expand(args, item))
}

fn try_expand(args: TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let args = Args::parse(args, &[&FUNCTION_KEYS[..], &KEYS].concat(), &mut errors);
    rules::check(&args, &mut errors);
    let function = errors.note(Function::parse(item.clone(), "circuit_breaker"));
    let function = function.map(|function| (Shape::of(&function.sig), function));
    if let Some((shape, _)) = &function {
        errors.note(shape.says_of_what());
        rules::check_shape(&args, shape.kind, &mut errors);
    }
    let (shape, function) = errors.finish(function)?;
    let krate = wrap::krate(&args);
    let breaker = Breaker { krate, shape, args: &args, function: &function, title: None };
    Ok(function.with_body(&breaker.body()))
}
