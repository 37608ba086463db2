//! Whether code uses an argument of the function that it stands in. It is not parsed for that: a name
//! that something else has too is taken for the argument.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Expr, FnArg, Signature};

pub(super) fn mentions_argument(code: &Expr, sig: &Signature) -> bool {
    let mut names = BTreeSet::new();
    for input in &sig.inputs {
        match input {
            FnArg::Receiver(_) => drop(names.insert("self".to_owned())),
            FnArg::Typed(typed) => collect(typed.pat.to_token_stream(), &mut names),
        }
    }
    mentions(code.to_token_stream(), &names)
}

fn collect(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => drop(names.insert(ident.to_string())),
            TokenTree::Group(group) => collect(group.stream(), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn mentions(tokens: TokenStream, names: &BTreeSet<String>) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.contains(&ident.to_string()),
        TokenTree::Group(group) => mentions(group.stream(), names),
        // As in `format!("{id}")`.
        TokenTree::Literal(literal) => {
            let text = literal.to_string();
            text.contains('{') && names.iter().any(|name| text.contains(&**name))
        }
        TokenTree::Punct(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_seen_wherever_it_is_used() {
        let sig: Signature = syn::parse_quote!(fn f(&self, id: u32, (a, Some(b)): Pair));
        let cases = [
            ("id", true),
            ("cache.get(&a)", true),
            ("{ let x = [1, b]; x }", true),
            ("|error| self.stale(error)", true),
            ("format!(\"{id:?}\")", true),
            ("None", false),
            ("|error| Err(error.into())", false),
            ("\"id\"", false),
        ];
        for (code, expected) in cases {
            let parsed = syn::parse_str(code).expect(code);
            assert_eq!(mentions_argument(&parsed, &sig), expected, "{code}");
        }
    }
}
