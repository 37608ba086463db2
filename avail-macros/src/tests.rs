//! Expansions, to be read. After a change that is meant: `INSTA_UPDATE=always cargo test`.

use proc_macro2::TokenStream;
use quote::quote;

fn pretty(expansion: TokenStream) -> String {
    let file = syn::parse2(expansion).expect("an expansion is items");
    prettyplease::unparse(&file)
}

fn breaker(args: TokenStream, item: &TokenStream) -> String {
    pretty(crate::circuit_breaker::expand(args, item))
}

fn check(args: TokenStream, item: &TokenStream) -> String {
    pretty(crate::health_check::expand(args, item))
}

#[test]
fn an_async_function() {
    insta::assert_snapshot!(breaker(
        quote!(name = "storage", failure_threshold = 3, timeout = "1m 30s", critical),
        &quote! {
            /// Fetches.
            #[inline]
            pub async fn fetch(&self, id: u32) -> Result<&[u8], Error> {
                self.connection().await?.read(id).await
            }
        },
    ));
}

#[test]
fn a_function_that_is_not_async() {
    insta::assert_snapshot!(breaker(
        quote!(name = names::PARSER),
        &quote!(
            fn parse(text: &str) -> Result<impl Iterator<Item = u8>, Error> {
                text.read()?
            }
        ),
    ));
}

#[test]
fn a_fallback_that_is_an_expression() {
    insta::assert_snapshot!(breaker(
        quote!(fallback = cache.stale(id).await, crate = crate::reexported),
        &quote!(
            async fn fetch(id: u32, cache: &Cache) -> Result<u8, Error> {
                body
            }
        ),
    ));
}

#[test]
fn a_fallback_that_is_a_closure() {
    insta::assert_snapshot!(breaker(
        quote!(fallback = |error| Ok(error.to_string())),
        &quote!(
            fn read() -> Result<String, Error> {
                body
            }
        ),
    ));
}

#[test]
fn a_function_that_returns_a_future() {
    insta::assert_snapshot!(breaker(
        quote!(),
        &quote! {
            fn fetch(&self) -> impl Future<Output = Result<u8, Error>> + Send + '_ { self.inner() }
        },
    ));
}

#[test]
fn a_function_that_returns_a_boxed_future() {
    insta::assert_snapshot!(breaker(
        quote!(),
        &quote!(
            fn fetch(&self) -> BoxFuture<'_, Result<u8, Error>> {
                self.inner().boxed()
            }
        ),
    ));
}

#[test]
fn attributes_at_the_start_of_a_body_go_before_the_function() {
    insta::assert_snapshot!(breaker(
        quote!(),
        &quote!(
            fn read() -> Answer {
                #![allow(unused)]
                body
            }
        ),
    ));
}

#[test]
fn an_async_check() {
    insta::assert_snapshot!(check(
        quote!(name = "storage", interval = 10, critical = false, probe = "liveness"),
        &quote!(
            async fn storage_answers() -> Result<(), Error> {
                ping().await
            }
        ),
    ));
}

#[test]
fn a_check_that_is_not_async() {
    insta::assert_snapshot!(check(
        quote!(),
        &quote!(
            pub fn disk_has_room() -> bool {
                true
            }
        )
    ));
}

#[test]
fn a_mistake_leaves_the_function_as_it_was() {
    insta::assert_snapshot!(breaker(
        quote!(timeout = "soon", failure_threshold = 0),
        &quote!(
            async fn fetch() -> Answer {
                body
            }
        ),
    ));
}
