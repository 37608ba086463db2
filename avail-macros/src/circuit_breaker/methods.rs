//! `#[circuit_breaker]` on an `impl` block: each method that returns a `Result`, or a future of one,
//! has a circuit breaker of its own.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Error, Ident, Result};

use super::body::Breaker;
use super::{BLOCK_KEYS, KEYS, rules};
use crate::args::{Args, Errors, Value};
use crate::block::{Block, Member};
use crate::item::{Function, Head};
use crate::shape::Shape;
use crate::wrap;

pub(super) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    match Block::parse(item.clone()) {
        Ok(block) => wrap::or_errors(&block.plain(), guarded(args, &block)),
        Err(error) => wrap::or_errors(item, Err(error)),
    }
}

// Input:
//     impl<T> Store<T> {
//         async fn get(&self) -> Result<T, E> { BODY }
//         fn len(&self) -> usize { BODY }
//         #[avail(skip)]
//         fn parse(&self) -> Result<T, E> { BODY }
//     }
//
// Output:
//     impl<T> Store<T> {
//         async fn get(&self) -> Result<T, E> { … guarded, as `Store::get` … }
//         fn len(&self) -> usize { BODY }
//         fn parse(&self) -> Result<T, E> { BODY }
//     }
fn guarded(args: TokenStream, block: &Block) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let args = Args::parse(args, &[&BLOCK_KEYS[..], &KEYS].concat(), &mut errors);
    rules::check(&args, &mut errors);
    let (mut members, mut guards_any) = (TokenStream::new(), false);
    for member in &block.members {
        let guarded = errors.note(method(member, &args, block));
        guards_any |= !matches!(guarded, Some(None)); // one that is wrong was meant to be
        members.extend(guarded.flatten().unwrap_or_else(|| member.tokens.clone()));
    }
    if !guards_any && errors.is_empty() {
        errors.push(Error::new(Span::call_site(), GUARDS_NOTHING));
    }
    errors.finish(Some(block.with_members(members)))
}

const GUARDS_NOTHING: &str = "no method of this block gets a circuit breaker: none declares a type \
                              that is called `Result`, or ends so, or a future of one; put the \
                              attribute on the methods themselves";

/// `None`: it stays as it is.
fn method(member: &Member, args: &Args, block: &Block) -> Result<Option<TokenStream>> {
    let Some(head) = is_to_be_guarded(member)? else { return Ok(None) };
    let shape = Shape::of(&head.sig);
    rules::check_method(args, shape.kind, &head.sig)?;
    let function = Function::parse(member.tokens.clone(), "circuit_breaker")
        .map_err(|error| opt_out(&error))?;
    let mut path = vec![block.type_name.clone(), function.name()];
    if let Some(Value::Text(prefix)) = args.find("prefix").map(|arg| &arg.value) {
        path.insert(0, prefix.clone());
    }
    let (krate, title) = (wrap::krate(args), Some(path.join("::")));
    let breaker = Breaker { krate, shape, args, function: &function, title };
    Ok(Some(function.with_body(&breaker.body())))
}

/// One that has the attribute itself, is opted out, or returns nothing that is called a result, is
/// not.
fn is_to_be_guarded(member: &Member) -> Result<Option<&Head>> {
    let mut is_skipped = false;
    for note in &member.notes {
        is_skipped |= says_skip(note)?;
    }
    match (&member.method, member.notes.first()) {
        (None, Some(note)) => Err(Error::new_spanned(
            note,
            "`#[avail(skip)]` goes on methods: nothing else is guarded",
        )),
        (Some(head), _) => {
            let is_guarded = !is_skipped
                && !head.attributes.iter().any(is_circuit_breaker)
                && Shape::of(&head.sig).is_called_result;
            Ok(is_guarded.then_some(head))
        }
        (None, None) => Ok(None),
    }
}

fn says_skip(note: &Attribute) -> Result<bool> {
    const ALLOWED: &str = "`#[avail(…)]` on a method knows one word: `#[avail(skip)]`, which leaves \
                           the method without a circuit breaker";
    let word = note.parse_args::<Ident>();
    let span = word.as_ref().map_or_else(Error::span, Ident::span);
    match word {
        Ok(word) if word == "skip" => Ok(true),
        _ => Err(Error::new(span, ALLOWED)),
    }
}

/// The attribute itself, also where a condition brings it.
fn is_circuit_breaker(attribute: &Attribute) -> bool {
    let is_called_so =
        |path: &syn::Path| path.segments.last().is_some_and(|last| last.ident == "circuit_breaker");
    let conditional = attribute.path().is_ident("cfg_attr");
    is_called_so(attribute.path())
        || conditional && quote!(#attribute).to_string().contains("circuit_breaker")
}

fn opt_out(error: &Error) -> Error {
    Error::new(error.span(), format!("{error}; leave it out with `#[avail(skip)]`"))
}
