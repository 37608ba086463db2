//! What both expansions are made of. Nothing in them depends on what the user's module means by
//! `Ok`, `Some` or `core`, and nothing that they name can be seen from the user's code.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Result;

use crate::args::{Args, Value};
use crate::item::Function;

/// The path to avail.
pub(crate) fn krate(args: &Args) -> TokenStream {
    match args.find("crate").map(|arg| &arg.value) {
        Some(Value::Path(path)) => path.to_token_stream(),
        _ => quote_spanned!(Span::mixed_site()=> ::avail),
    }
}

/// The same tokens, at that position.
pub(crate) fn located(tokens: TokenStream, place: Span) -> TokenStream {
    let tokens = tokens.into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    tokens.collect()
}

/// `Origin::new(…)`: where the attribute stands.
pub(crate) fn origin(krate: &TokenStream, function: &Function) -> TokenStream {
    let name = function.name();
    quote_spanned! {Span::mixed_site()=>
        #krate::__private::Origin::new(
            #krate::__private::module_path!(),
            #name,
            #krate::__private::file!(),
            #krate::__private::line!(),
        )
    }
}

/// The name as spelled out, as an `Option`.
pub(crate) fn name(krate: &TokenStream, args: &Args) -> TokenStream {
    match args.find("name").map(|arg| &arg.value) {
        Some(Value::Name(name)) => {
            quote_spanned!(Span::mixed_site()=> #krate::__private::Some(#name))
        }
        _ => quote_spanned!(Span::mixed_site()=> #krate::__private::None),
    }
}

/// `Settings::new().failure_threshold(3)…`: each key that is a setting, in the order of writing.
pub(crate) fn settings(krate: &TokenStream, settings: &str, args: &Args) -> TokenStream {
    let here = Span::mixed_site();
    let settings = Ident::new(settings, here);
    let setters = args.iter().filter(|arg| arg.key != "name" && arg.key != "max_keys");
    let setters = setters.filter_map(|arg| arg.value.setter(arg.key, krate));
    quote_spanned!(here=> #krate::__private::#settings::new() #(#setters)*)
}

/// What the attribute makes of the item; where it can't, the item as it was and the errors, so that
/// one mistake gives no others.
pub(crate) fn or_errors(item: &TokenStream, expanded: Result<TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| {
        let errors = error.into_compile_error();
        quote!(#item #errors)
    })
}
