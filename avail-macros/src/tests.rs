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
fn a_limit_with_a_fallback_that_uses_an_argument() {
    insta::assert_snapshot!(breaker(
        quote!(call_timeout = "2s", fallback = cache.stale(id).await),
        &quote!(
            async fn fetch(id: u32, cache: &Cache) -> Option<u8> {
                body
            }
        ),
    ));
}

#[test]
fn a_limit_with_a_fallback_that_is_a_closure() {
    insta::assert_snapshot!(breaker(
        quote!(call_timeout = "2s", fallback = |error| Err(error.into())),
        &quote!(
            fn fetch(id: u32) -> impl Future<Output = Result<u8, Error>> {
                body
            }
        ),
    ));
}

#[test]
fn predicates() {
    insta::assert_snapshot!(breaker(
        quote!(ignore = |error| error.is_not_found(), failure_if = is_bad),
        &quote!(
            fn fetch(id: u32) -> Result<u8, Error> {
                body
            }
        ),
    ));
}

#[test]
fn a_family() {
    insta::assert_snapshot!(breaker(
        quote!(name = "tenants", key = &request.tenant, max_keys = 50),
        &quote!(
            fn handle(request: &Request) -> Result<u8, Error> {
                body
            }
        ),
    ));
}

#[test]
fn an_impl_block() {
    insta::assert_snapshot!(breaker(
        quote!(prefix = "app", failure_threshold = 3),
        &quote! {
            impl<T> Fetch for Store<T> {
                type Item = T;
                /// Fetches.
                fn fetch(&self) -> StoreResult<T> { body }
                fn len(&self) -> usize { body }
                #[avail(skip)]
                fn parse(&self) -> Result<T, E> { body }
                #[circuit_breaker(name = "own")]
                fn own(&self) -> Result<T, E> { body }
            }
        },
    ));
}

#[test]
fn a_mistake_leaves_the_block_as_it_was_but_for_what_only_the_attribute_knows() {
    insta::assert_snapshot!(breaker(
        quote!(name = "storage"),
        &quote! {
            impl Store {
                #[avail(skip)]
                fn parse(&self) -> Result<T, E> { body }
            }
        },
    ));
}

#[test]
fn every_setting() {
    insta::assert_snapshot!(breaker(
        quote!(
            failure_threshold = 3,
            success_threshold = 4,
            timeout = 5,
            reset_timeout = "6s",
            failure_rate = "50%",
            slow_call_rate = 0.5,
            window = "30s",
            min_calls = 7,
            slow_call = "8ms",
            slow_in_flight,
            call_timeout = 9,
            probe_timeout = "1m",
            cancel_failure_after = "never",
            max_timeout = "1h",
            half_open_max_calls = 10,
            backoff = 2,
            jitter = 0.1,
            recovery_check = "storage",
            critical,
            shadow = false,
        ),
        &quote!(
            async fn fetch() -> Answer {
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
