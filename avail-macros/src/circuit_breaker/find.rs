//! How a function finds its breaker: by a `static` site of its own.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::Expr;

use super::body::Breaker;
use crate::args::Value;
use crate::shape::Kind;
use crate::wrap;

const MAX_KEYS: u32 = 1_000;

impl Breaker<'_> {
    /// A member of a family is found before a body that makes a future: that takes what the key is
    /// made of.
    pub(super) fn found_early(&self) -> Option<TokenStream> {
        let makes_future = matches!(self.shape.kind, Kind::Future | Kind::BoxFuture);
        self.code("key").filter(|_| makes_future).map(|key| self.find_member(key))
    }

    pub(super) fn find(&self) -> TokenStream {
        let krate = &self.krate;
        let site = self.site("BreakerSite", None);
        quote_spanned! {Span::mixed_site()=>
            let breaker = { #site #krate::__private::BreakerSite::breaker(&SITE) };
        }
    }

    // Output:
    //     let site = { static SITE: FamilySite = …; submit! { … } &SITE };
    //     let breaker = KeyOf(&KEY).avail_key(|key| site.member(key));
    //
    // The key's text is used where it is: nothing is allocated.
    pub(super) fn find_member(&self, key: &Expr) -> TokenStream {
        let (krate, here) = (&self.krate, Span::mixed_site());
        let max_keys = match self.args.find("max_keys").map(|arg| &arg.value) {
            Some(Value::Count(count)) => *count,
            _ => MAX_KEYS,
        };
        let site = self.site("FamilySite", Some(max_keys));
        let at_key = self.args.find("key").map_or(here, |arg| here.located_at(arg.span));
        // Where the key can't be shown as text, the compiler points there.
        let there = wrap::located(krate.clone(), at_key);
        let member = quote_spanned! {at_key=>
            (&&#there::__private::KeyOf(&(#key))).avail_key(find)
        };
        quote_spanned! {here=>
            let site = { #site &SITE };
            let breaker = {
                use #krate::__private::Keyed as _;
                let find = |key: &_| #krate::__private::FamilySite::member(site, key);
                #member
            };
        }
    }

    /// The site stands in a block of its own: the user's code can't see it.
    fn site(&self, kind: &str, max_keys: Option<u32>) -> TokenStream {
        let Breaker { krate, args, function, title, .. } = self;
        let here = Span::mixed_site();
        let kind = Ident::new(kind, here);
        let origin = wrap::origin(krate, function);
        let name = wrap::name(krate, args);
        let settings = wrap::settings(krate, "BreakerSettings", args);
        let titled = title.as_ref().map(|title| quote_spanned!(here=> .titled(#title)));
        let keyed = max_keys.map(|max_keys| quote_spanned!(here=> .keyed(#max_keys)));
        let uncut = self.uncut().map(|why| {
            let why = Ident::new(why, here);
            quote_spanned!(here=> .uncut(#krate::__private::Uncut::#why))
        });
        quote_spanned! {here=>
            static SITE: #krate::__private::#kind = #krate::__private::#kind::new(
                #krate::__private::Declaration::new(#origin, #name, #settings) #titled #keyed #uncut,
            );
            #krate::__private::inventory::submit! { #krate::__private::BreakerEntry::of(&SITE) }
        }
    }
}
