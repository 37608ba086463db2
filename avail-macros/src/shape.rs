//! What calling a function gives. A function is recognised as returning a future by its type, never
//! by the shape of its body.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Error, GenericArgument, Ident, PathArguments, PathSegment, Result, ReturnType, Signature, Type,
    TypeParamBound, TypePath,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value.
    Sync,
    /// `async fn`.
    Async,
    /// `impl Future`.
    Future,
    /// `Pin<Box<dyn Future>>`, `BoxFuture`, `LocalBoxFuture`.
    BoxFuture,
}

pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// What the function returns, in a form that an expression may name.
    pub(crate) returned: TokenStream,
    /// What a call gives in the end: what is returned, or what the future that is returned gives.
    pub(crate) output: TokenStream,
    /// Whether the future that is returned says so.
    says_output: bool,
    /// Whether that is a `Result` by its spelling: `Result`, `io::Result`, `StoreResult`.
    pub(crate) is_called_result: bool,
    /// Where errors about the output belong.
    position: (Span, Span),
}

impl Shape {
    pub(crate) fn of(sig: &Signature) -> Self {
        let ReturnType::Type(_, declared) = &sig.output else {
            let kind = if sig.asyncness.is_some() { Kind::Async } else { Kind::Sync };
            let position = (sig.ident.span(), sig.ident.span());
            let unit = quote_spanned!(sig.ident.span()=> ());
            let returned = unit.clone();
            return Shape {
                kind,
                returned,
                output: unit,
                says_output: true,
                is_called_result: false,
                position,
            };
        };
        let declared = ungrouped(declared);
        let (kind, output) = match future_output(declared) {
            _ if sig.asyncness.is_some() => (Kind::Async, Some(declared)),
            Some((kind, output)) => (kind, output),
            None => (Kind::Sync, Some(declared)),
        };
        Shape {
            kind,
            returned: nameable(declared),
            output: output.map_or_else(|| quote!(_), nameable),
            says_output: output.is_some(),
            is_called_result: output.is_some_and(is_called_result),
            position: position_of(output.unwrap_or(declared)),
        }
    }

    /// A future has to say what it gives: nothing else does.
    pub(crate) fn says_of_what(&self) -> Result<()> {
        match self.kind {
            // A `dyn Future` without it is an error of the compiler's.
            Kind::Future if !self.says_output => Err(Error::new(
                self.position.0,
                "say what the future gives: `impl Future<Output = …>`",
            )),
            _ => Ok(()),
        }
    }

    /// A path to an item of avail that stands at the output's type: where the item asks for a trait
    /// that the type lacks, the compiler points there.
    pub(crate) fn path_at_output(&self, krate: &TokenStream, item: &str) -> TokenStream {
        let item = Ident::new(item, Span::mixed_site());
        self.at_output(quote_spanned!(Span::mixed_site()=> #krate::__private::#item))
    }

    /// What the output's type says about calls by its implementation of one of avail's traits.
    pub(crate) fn rules(&self, krate: &TokenStream, of_trait: &str) -> TokenStream {
        let (start, end) = self.position;
        let (start, end) =
            (Span::mixed_site().located_at(start), Span::mixed_site().located_at(end));
        let of_trait = Ident::new(of_trait, Span::mixed_site());
        let output = &self.output;
        let open = quote_spanned!(start=> <);
        let rest = quote_spanned!(end=> as #krate::__private::#of_trait>::RULES);
        quote!(#open #output #rest)
    }

    /// The same tokens, at the position of the output's type. The compiler takes an expression to
    /// reach from its first token to its last.
    pub(crate) fn at_output(&self, tokens: TokenStream) -> TokenStream {
        let (start, end) = self.position;
        let mut tokens: Vec<_> = tokens.into_iter().collect();
        let last = tokens.len().saturating_sub(1);
        for (index, token) in tokens.iter_mut().enumerate() {
            let place = if index == last { end } else { start };
            token.set_span(token.span().located_at(place));
        }
        tokens.into_iter().collect()
    }
}

fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}

fn is_called_result(ty: &Type) -> bool {
    match ungrouped(ty) {
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| last.ident.to_string().ends_with("Result"))
        }
        _ => false,
    }
}

fn position_of(ty: &Type) -> (Span, Span) {
    let mut spans = ty.to_token_stream().into_iter().map(|token| token.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    (start, spans.last().unwrap_or(start))
}

/// If it is a future, which sort and of what; `None` inside: it does not say of what.
fn future_output(ty: &Type) -> Option<(Kind, Option<&Type>)> {
    match ty {
        Type::ImplTrait(bounds) => future_bound(&bounds.bounds).map(|out| (Kind::Future, out)),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let output = match &*last.ident.to_string() {
                "Pin" => boxed_future(last),
                "BoxFuture" | "LocalBoxFuture" => Some(types_in(last).last()),
                _ => None,
            };
            output.map(|output| (Kind::BoxFuture, output))
        }
        _ => None,
    }
}

/// The future in `Pin<Box<dyn Future>>`.
fn boxed_future(pin: &PathSegment) -> Option<Option<&Type>> {
    let Type::Path(boxed) = ungrouped(types_in(pin).next()?) else {
        return None;
    };
    let last = boxed.path.segments.last().filter(|last| last.ident == "Box")?;
    match ungrouped(types_in(last).next()?) {
        Type::TraitObject(object) => future_bound(&object.bounds),
        _ => None,
    }
}

fn future_bound<'a>(
    bounds: impl IntoIterator<Item = &'a TypeParamBound>,
) -> Option<Option<&'a Type>> {
    let future = bounds.into_iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().filter(|last| last.ident == "Future")
        }
        _ => None,
    })?;
    Some(arguments(future).find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&assoc.ty),
        _ => None,
    }))
}

fn arguments(segment: &PathSegment) -> impl Iterator<Item = &GenericArgument> {
    match &segment.arguments {
        PathArguments::AngleBracketed(angle) => Some(angle.args.iter()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

fn types_in(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    arguments(segment).filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The type with `_` for each `impl Trait`, which can't be named in an expression.
fn nameable(ty: &Type) -> TokenStream {
    let mut ty = ty.clone();
    erase_impl_trait(&mut ty);
    ty.into_token_stream()
}

fn erase_impl_trait(ty: &mut Type) {
    match ty {
        Type::ImplTrait(_) => *ty = Type::Verbatim(quote!(_)),
        Type::Array(array) => erase_impl_trait(&mut array.elem),
        Type::Group(group) => erase_impl_trait(&mut group.elem),
        Type::Paren(paren) => erase_impl_trait(&mut paren.elem),
        Type::Path(path) => erase_in_path(path),
        Type::Reference(reference) => erase_impl_trait(&mut reference.elem),
        Type::Slice(slice) => erase_impl_trait(&mut slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(erase_impl_trait),
        _ => {}
    }
}

fn erase_in_path(path: &mut TypePath) {
    for segment in &mut path.path.segments {
        if let PathArguments::AngleBracketed(angle) = &mut segment.arguments {
            for argument in &mut angle.args {
                if let GenericArgument::Type(ty) = argument {
                    erase_impl_trait(ty);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_recognised_by_its_name_wherever_it_stands() {
        let cases: [(Signature, bool); 10] = [
            (syn::parse_quote!(fn f() -> Result<u8, E>), true),
            (syn::parse_quote!(fn f() -> std::io::Result<()>), true),
            (syn::parse_quote!(async fn f() -> StoreResult), true),
            (syn::parse_quote!(fn f() -> impl Send + Future<Output = Result<u8, E>>), true),
            (syn::parse_quote!(fn f() -> Pin<Box<dyn Future<Output = Result<u8, E>>>>), true),
            (syn::parse_quote!(fn f() -> BoxFuture<'_, Result<u8, E>>), true),
            (syn::parse_quote!(fn f() -> Option<Result<u8, E>>), false),
            (syn::parse_quote!(fn f() -> impl Future<Output = u8>), false),
            (syn::parse_quote!(fn f() -> Results), false),
            (syn::parse_quote!(fn f()), false),
        ];
        for (sig, expected) in cases {
            let found = Shape::of(&sig).is_called_result;
            assert_eq!(found, expected, "{}", sig.to_token_stream());
        }
    }

    #[test]
    fn a_future_is_recognised_by_its_type() {
        let cases: [(Signature, Kind, &str); 11] = [
            (syn::parse_quote!(fn f() -> Result<u8, E>), Kind::Sync, "Result < u8 , E >"),
            (syn::parse_quote!(fn f()), Kind::Sync, "()"),
            (syn::parse_quote!(async fn f() -> R), Kind::Async, "R"),
            (syn::parse_quote!(fn f() -> impl Future<Output = R> + Send), Kind::Future, "R"),
            (
                syn::parse_quote!(fn f() -> impl Send + std::future::Future<Output = R>),
                Kind::Future,
                "R",
            ),
            (
                syn::parse_quote!(fn f() -> Pin<Box<dyn Future<Output = R> + Send + 'a>>),
                Kind::BoxFuture,
                "R",
            ),
            (syn::parse_quote!(fn f() -> BoxFuture<'a, R>), Kind::BoxFuture, "R"),
            (
                syn::parse_quote!(fn f() -> futures::future::LocalBoxFuture<'_, R>),
                Kind::BoxFuture,
                "R",
            ),
            (syn::parse_quote!(fn f() -> Pin<&mut R>), Kind::Sync, "Pin < & mut R >"),
            (syn::parse_quote!(fn f() -> Alias), Kind::Sync, "Alias"),
            (
                syn::parse_quote!(fn f() -> Result<impl Iterator<Item = u8>, E>),
                Kind::Sync,
                "Result < _ , E >",
            ),
        ];
        for (sig, kind, output) in cases {
            let shape = Shape::of(&sig);
            let seen = (shape.kind, shape.output.to_string());
            assert_eq!(seen, (kind, output.to_owned()), "{}", sig.to_token_stream());
        }
    }
}
