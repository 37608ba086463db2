//! What becomes of a function's body.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, ExprClosure};

use super::mentions::mentions_argument;
use crate::args::{Args, Value};
use crate::item::Function;
use crate::shape::{Kind, Shape};
use crate::wrap;

pub(super) struct Breaker<'a> {
    pub(super) krate: TokenStream,
    pub(super) shape: Shape,
    pub(super) args: &'a Args,
    pub(super) function: &'a Function,
    /// The default name, where it is not the function's path.
    pub(super) title: Option<String>,
}

/// What becomes of a future that takes longer than the breaker allows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// Nothing.
    None,
    /// The error goes to the caller.
    Error,
    /// The fallback answers.
    Fallback,
}

impl Breaker<'_> {
    pub(super) fn body(&self) -> TokenStream {
        match self.shape.kind {
            Kind::Sync => self.sync_body(),
            Kind::Async => self.async_body(),
            Kind::Future => self.future_body(),
            Kind::BoxFuture => self.box_future_body(),
        }
    }

    // Input:
    //     fn parse(text: &str) -> Result<u32, E> { BODY }
    //
    // Output:
    //     fn parse(text: &str) -> Result<u32, E> {
    //         let (rules, reject) = <Result<u32, E> as Rejectable>::RULES;
    //         let breaker = { static SITE: BreakerSite = …; submit! { … } SITE.breaker() };
    //         let guard = match guard(&breaker).admitted() {
    //             Ok(guard) => guard,
    //             Err(error) => return reject(error),
    //         };
    //         guard.run_sync(|| -> Result<u32, E> { BODY }, |output| rules.judge(output))
    //     }
    //
    // The closure borrows what the body borrows and takes what it consumes, as the body did. What is
    // called here as a method is called by its path, since a trait of the user's may have another of
    // that name for every type.
    fn sync_body(&self) -> TokenStream {
        let (krate, returned, body) = (&self.krate, &self.shape.returned, self.function.body());
        let (guard, judge) = (self.admitted_guard(), self.judge());
        quote_spanned! {Span::mixed_site()=>
            #guard
            #krate::__private::Guard::run_sync(guard, || -> #returned #body, #judge)
        }
    }

    // Input:
    //     async fn fetch(id: u32) -> Result<Bytes, E> { BODY }
    //
    // Output:
    //     async fn fetch(id: u32) -> Result<Bytes, E> {
    //         let (rules, reject) = …;
    //         let breaker = …;
    //         let guard = match guard(&breaker).admitted() { … };
    //         let future = async move {
    //             if false { return declared::<Result<Bytes, E>>(); }
    //             { BODY }
    //         };
    //         guard.run_or(future, |output| rules.judge(output), |error| reject(error)).await
    //     }
    //
    // It moves, or an argument that can be sent and not shared would keep the future from being
    // sent; but what is looked at after the body, it has to leave.
    fn async_body(&self) -> TokenStream {
        let (edge, body) = (self.return_edge(), self.function.body());
        let moves = (!self.looks_back()).then(|| quote_spanned!(Span::mixed_site()=> move));
        self.run(&quote_spanned! {Span::mixed_site()=>
            let future = async #moves { #edge #body };
        })
    }

    // Input:
    //     fn fetch(id: u32) -> impl Future<Output = Result<Bytes, E>> + Send { BODY }
    //
    // Output:
    //     fn fetch(id: u32) -> impl Future<Output = Result<Bytes, E>> + Send {
    //         let future = eager(|| { BODY });
    //         let future = future_of::<Result<Bytes, E>, _>(future);
    //         async move {
    //             if false { return declared::<Result<Bytes, E>>(); }
    //             let (rules, reject) = …;
    //             let breaker = …;
    //             let guard = match guard(&breaker).admitted() { … };
    //             guard.run_or(future, |output| rules.judge(output), |error| reject(error)).await
    //         }
    //     }
    fn future_body(&self) -> TokenStream {
        let Breaker { krate, shape, .. } = self;
        let (output, body, guarded) = (&shape.output, self.function.body(), self.guarded_future());
        let here = Span::mixed_site();
        let future_of = shape.path_at_output(krate, "future_of");
        let future = shape.at_output(quote_spanned!(here=> future));
        let found = self.found_early();
        quote_spanned! {here=>
            #found
            let future = #krate::__private::eager(|| #body);
            let future = #future_of::<#output, _>(#future);
            #guarded
        }
    }

    // As above, but the closure's type is known, so that the body may leave `dyn` to coercion, and
    // the future goes into a box again.
    fn box_future_body(&self) -> TokenStream {
        let Breaker { krate, shape, .. } = self;
        let (returned, body) = (&shape.returned, self.function.body());
        let (found, guarded) = (self.found_early(), self.guarded_future());
        quote_spanned! {Span::mixed_site()=>
            #found
            let future = #krate::__private::eager(|| -> #returned #body);
            #krate::__private::Box::pin(#guarded)
        }
    }

    fn guarded_future(&self) -> TokenStream {
        let (edge, run) = (self.return_edge(), self.run(&TokenStream::new()));
        quote_spanned!(Span::mixed_site()=> async move { #edge #run })
    }

    fn limit(&self) -> Limit {
        match (self.args.has("fallback"), self.args.has("call_timeout")) {
            (false, _) => Limit::Error,
            (true, true) => Limit::Fallback,
            // Whoever wrote it did not mean it for a call that had begun: it may need what the body
            // has consumed.
            (true, false) => Limit::None,
        }
    }

    /// Why its calls can't be cut off, also where a limit is given from outside.
    pub(super) fn uncut(&self) -> Option<&'static str> {
        match self.shape.kind {
            Kind::Sync => Some("Value"),
            _ if self.limit() == Limit::None => Some("Fallback"),
            _ => None,
        }
    }

    /// Asks for a guard, and runs the future that is made by these statements.
    fn run(&self, future: &TokenStream) -> TokenStream {
        let limit = self.limit();
        if limit == Limit::Fallback {
            return self.run_in_time(future);
        }
        let (krate, guard, judge) = (&self.krate, self.admitted_guard(), self.judge());
        let here = Span::mixed_site();
        let (run, reject) = match limit {
            Limit::Error => (quote_spanned!(here=> run_or), self.reject()),
            _ => (quote_spanned!(here=> run), TokenStream::new()),
        };
        quote_spanned! {here=>
            #guard
            #future
            #krate::__private::Guard::#run(guard, future, #judge, #reject).await
        }
    }

    /// `|error| reject(error)`, which asks the output's type once more: to keep what it has said would
    /// take room in the future. The compiler says a second time, at the same place, what is missing,
    /// and leaves that out.
    fn reject(&self) -> TokenStream {
        let rules = self.shape.rules(&self.krate, "Rejectable");
        quote_spanned! {Span::mixed_site()=>
            |error| {
                let (_, reject) = #rules;
                reject(error)
            },
        }
    }

    // Output:
    //     let error = 'refused: {
    //         let guard = match guard(&breaker).admitted() {
    //             Ok(guard) => guard,
    //             Err(error) => break 'refused error,
    //         };
    //         let future = …;
    //         let ended = guard.run_in_time(future, |output| rules.judge(output)).await;
    //         match ended {
    //             Ok(output) => return output,
    //             Err(error) => error,
    //         }
    //     };
    //     FALLBACK(error)
    //
    // The body has been torn down when the fallback begins.
    fn run_in_time(&self, future: &TokenStream) -> TokenStream {
        let (krate, find, guard, judge) =
            (&self.krate, self.rules_and_breaker(), self.guard(), self.judge());
        let (error, answer) = self.answer();
        let here = Span::mixed_site();
        let keep = error.as_ref().map(|error| quote_spanned!(here=> let #error =));
        let value = error.as_ref().map_or(quote_spanned!(here=> {}), ToTokens::to_token_stream);
        let end = error.as_ref().map(|_| quote_spanned!(here=> ;));
        let pattern = error.clone().unwrap_or_else(|| Ident::new("_", here));
        quote_spanned! {here=>
            #find
            #keep 'refused: {
                let guard = match #guard {
                    #krate::__private::Ok(guard) => guard,
                    #krate::__private::Err(#pattern) => break 'refused #error,
                };
                #future
                let ended = #krate::__private::Guard::run_in_time(guard, future, #judge).await;
                match ended {
                    #krate::__private::Ok(output) => return output,
                    #krate::__private::Err(#pattern) => #value
                }
            } #end
            #answer
        }
    }

    /// `|output| rules.judge(output)`, where the output's type decides how (see `Judge`), and the
    /// predicates of the attribute.
    fn judge(&self) -> TokenStream {
        let Breaker { krate, .. } = self;
        let here = Span::mixed_site();
        let (failure_if, ignore) = (self.code("failure_if"), self.code("ignore"));
        let sig = &self.function.sig;
        let borrows = |code: Option<&Expr>| code.is_some_and(|code| mentions_argument(code, sig));
        // Where it can, it moves: what it borrows takes room in the future.
        let moves = (!borrows(failure_if) && !borrows(ignore)).then(|| quote_spanned!(here=> move));
        let at = |key| self.args.find(key).map(|arg| here.located_at(arg.span));
        let mut end = quote_spanned!(here=> (&&&&&&rules.of(output)).avail_judge(output));
        if let Some(test) = failure_if {
            // What the compiler has to say about the call belongs to the predicate.
            let at = at("failure_if").unwrap_or(here);
            let path = wrap::located(quote_spanned!(at=> #krate::__private::failure_if), at);
            end = quote_spanned!(at=> #path(#end, output, #test));
        }
        if let Some(test) = ignore {
            end = quote_spanned! {here=>
                if rules.ignores(output, #test) {
                    #krate::__private::End::Ignored
                } else {
                    #end
                }
            };
        }
        let is_value = self.is_value();
        let at = at("failure_if").or(at("ignore")).unwrap_or(here);
        let judge = quote_spanned! {here=>
            use #krate::__private::Judge as _;
            #is_value
            #end
        };
        quote_spanned!(at=> #moves |output| { #judge })
    }

    /// Where any output is taken: not a future behind an alias.
    fn is_value(&self) -> Option<TokenStream> {
        let Breaker { krate, shape, .. } = self;
        let here = Span::mixed_site();
        (self.asks_for() == "AnyOutput").then(|| {
            let value = shape.path_at_output(krate, "value");
            let kind = quote_spanned! {here=>
                (&&#krate::__private::MaybeFuture(output)).avail_kind()
            };
            let kind = shape.at_output(kind);
            quote_spanned! {here=>
                {
                    use #krate::__private::{OfFuture as _, OfValue as _};
                    #value(#kind);
                }
            }
        })
    }

    /// The trait that the output has to have.
    fn asks_for(&self) -> &'static str {
        let trips = ["failure_if", "call_timeout", "slow_call_rate"];
        if !self.args.has("fallback") {
            "Rejectable"
        } else if self.args.has("ignore") {
            "HasError"
        } else if trips.iter().any(|key| self.args.has(key)) {
            "AnyOutput"
        } else {
            "CallOutput"
        }
    }

    /// Asks the breaker for a `guard`, or returns what a rejected call returns. It is moved and never
    /// borrowed: so an async function keeps one and not two.
    fn admitted_guard(&self) -> TokenStream {
        let (krate, find, guard) = (&self.krate, self.rules_and_breaker(), self.guard());
        let here = Span::mixed_site();
        let (error, answer) = self.answer();
        let error = error.unwrap_or_else(|| Ident::new("_", here));
        quote_spanned! {here=>
            #find
            let guard = match #guard {
                #krate::__private::Ok(guard) => guard,
                #krate::__private::Err(#error) => return #answer,
            };
        }
    }

    /// A guard, or the error of a call that may not be made.
    fn guard(&self) -> TokenStream {
        let krate = &self.krate;
        quote_spanned! {Span::mixed_site()=>
            #krate::__private::Guard::admitted(#krate::__private::guard(&breaker))
        }
    }

    /// The output's `rules` come first, since there is no sense in what follows where there are none.
    fn rules_and_breaker(&self) -> TokenStream {
        let Breaker { krate, shape, .. } = self;
        let here = Span::mixed_site();
        let asks_for = self.asks_for();
        let rules = shape.rules(krate, asks_for);
        let rules = if asks_for == "Rejectable" {
            quote_spanned!(here=> let (rules, reject) = #rules;)
        } else {
            quote_spanned!(here=> let rules = #rules;)
        };
        let find = match (self.found_early(), self.code("key")) {
            (Some(_), _) => TokenStream::new(),
            (None, Some(key)) => self.find_member(key),
            (None, None) => self.find(),
        };
        quote_spanned!(here=> #rules #find)
    }

    /// What a call gives that was not let through, or was cut off; and the name of the error in it,
    /// if it has one.
    fn answer(&self) -> (Option<Ident>, TokenStream) {
        let here = Span::mixed_site();
        let error = Ident::new("error", here);
        match self.code("fallback") {
            Some(Expr::Closure(closure)) => {
                let answer = self.answer_of(closure, &error);
                (Some(error), answer)
            }
            // Written out it would be a lint's business.
            Some(Expr::Tuple(unit)) if unit.elems.is_empty() => (None, TokenStream::new()),
            Some(expr) => (None, quote!(#expr)),
            None => {
                let answer = quote_spanned!(here=> reject(#error));
                (Some(error), answer)
            }
        }
    }

    fn answer_of(&self, closure: &ExprClosure, error: &Ident) -> TokenStream {
        let (krate, output) = (&self.krate, &self.shape.output);
        let here = Span::mixed_site();
        if closure.asyncness.is_some() {
            quote_spanned! {here=>
                #krate::__private::answer_async::<#output>(#error, #closure).await
            }
        } else {
            quote_spanned!(here=> #krate::__private::answer::<#output>(#error, #closure))
        }
    }

    /// Says what the async block returns before the body does.
    fn return_edge(&self) -> TokenStream {
        let Breaker { krate, shape, .. } = self;
        let output = &shape.output;
        quote_spanned! {Span::mixed_site()=>
            if false {
                return #krate::__private::declared::<#output>();
            }
        }
    }

    /// Whether an argument is used when the body has been made already.
    fn looks_back(&self) -> bool {
        let fallback = self.code("fallback").filter(|_| self.limit() == Limit::Fallback);
        let later = [fallback, self.code("failure_if"), self.code("ignore")];
        later.into_iter().flatten().any(|code| mentions_argument(code, &self.function.sig))
    }

    pub(super) fn code(&self, key: &str) -> Option<&Expr> {
        match self.args.find(key).map(|arg| &arg.value) {
            Some(Value::Code(code)) => Some(code),
            _ => None,
        }
    }
}
