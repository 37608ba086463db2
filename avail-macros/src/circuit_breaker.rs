//! `#[circuit_breaker]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, Result};

use crate::args::{Args, Errors, Key, Takes, Value};
use crate::item::Function;
use crate::shape::{Kind, Shape};
use crate::wrap;

const KEYS: [Key; 10] = [
    Key::new("name", Takes::Name),
    Key::new("failure_threshold", Takes::Count),
    Key::new("success_threshold", Takes::Count),
    Key::new("timeout", Takes::Duration),
    Key::new("reset_timeout", Takes::Duration),
    Key::new("half_open_max_calls", Takes::Count),
    Key::new("fallback", Takes::Fallback),
    Key::new("critical", Takes::Flag),
    Key::new("shadow", Takes::Flag),
    Key::new("crate", Takes::Path),
];

pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    wrap::or_errors(item, try_expand(args, item))
}

fn try_expand(args: TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let args = Args::parse(args, &KEYS, &mut errors);
    let function = errors.note(Function::parse(item.clone(), "circuit_breaker"));
    let function = errors.finish(function)?;
    let breaker = Breaker {
        krate: wrap::krate(&args),
        shape: Shape::of(&function.sig),
        args: &args,
        function: &function,
    };
    Ok(function.with_body(&breaker.body()))
}

struct Breaker<'a> {
    krate: TokenStream,
    shape: Shape,
    args: &'a Args,
    function: &'a Function,
}

impl Breaker<'_> {
    fn body(&self) -> TokenStream {
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
    //         let mut guard = breaker.guard();
    //         match guard.enter() {
    //             Ok(()) => {}
    //             Err(error) => return reject(error),
    //         }
    //         guard.run_sync(|| -> Result<u32, E> { BODY }, |output| rules.judge(output))
    //     }
    //
    // The closure borrows what the body borrows and takes what it consumes, as the body did. What is
    // called here as a method is called by its path, since a trait of the user's may have another of
    // that name for every type.
    fn sync_body(&self) -> TokenStream {
        let (krate, returned, body) = (&self.krate, &self.shape.returned, self.function.body());
        let (guard, judge) = (self.guard(), self.judge());
        quote_spanned! {Span::mixed_site()=>
            #guard
            #krate::__private::Guard::run_sync(&mut guard, || -> #returned #body, #judge)
        }
    }

    // Input:
    //     async fn fetch(id: u32) -> Result<Bytes, E> { BODY }
    //
    // Output:
    //     async fn fetch(id: u32) -> Result<Bytes, E> {
    //         let (rules, reject) = …;
    //         let breaker = …;
    //         let mut guard = …;
    //         let future = async move {
    //             if false { return declared::<Result<Bytes, E>>(); }
    //             { BODY }
    //         };
    //         guard.run(pin!(future), |output| rules.judge(output)).await
    //     }
    //
    // It moves, or an argument that can be sent and not shared would keep the future from being
    // sent.
    fn async_body(&self) -> TokenStream {
        let (guard, edge, body) = (self.guard(), self.return_edge(), self.function.body());
        let run = self.run();
        quote_spanned! {Span::mixed_site()=>
            #guard
            let future = async move { #edge #body };
            #run
        }
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
    //             let mut guard = …;
    //             guard.run(pin!(future), |output| rules.judge(output)).await
    //         }
    //     }
    fn future_body(&self) -> TokenStream {
        let Breaker { krate, shape, .. } = self;
        let (output, body, guarded) = (&shape.output, self.function.body(), self.guarded_future());
        let here = Span::mixed_site();
        let future_of = shape.path_at_output(krate, "future_of");
        let future = shape.at_output(quote_spanned!(here=> future));
        quote_spanned! {here=>
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
        let guarded = self.guarded_future();
        quote_spanned! {Span::mixed_site()=>
            let future = #krate::__private::eager(|| -> #returned #body);
            #krate::__private::Box::pin(#guarded)
        }
    }

    fn guarded_future(&self) -> TokenStream {
        let (edge, guard, run) = (self.return_edge(), self.guard(), self.run());
        quote_spanned!(Span::mixed_site()=> async move { #edge #guard #run })
    }

    fn run(&self) -> TokenStream {
        let (Breaker { krate, .. }, judge) = (self, self.judge());
        quote_spanned! {Span::mixed_site()=>
            #krate::__private::Guard::run(
                &mut guard,
                #krate::__private::pin!(future),
                #judge,
            )
            .await
        }
    }

    /// `|output| rules.judge(output)`, where the output's type decides how: see `Judge`.
    fn judge(&self) -> TokenStream {
        let Breaker { krate, .. } = self;
        quote_spanned! {Span::mixed_site()=>
            move |output| {
                use #krate::__private::Judge as _;
                (&&&&&rules.of(output)).avail_judge(output)
            }
        }
    }

    /// Asks the breaker for a `guard`, or returns what a rejected call returns; the output's `rules`
    /// come first, since there is no sense in what follows where there are none.
    fn guard(&self) -> TokenStream {
        let Breaker { krate, shape, args, .. } = self;
        let here = Span::mixed_site();
        let rules = if args.find("fallback").is_some() {
            let rules = shape.rules(krate, "CallOutput");
            quote_spanned!(here=> let rules = #rules;)
        } else {
            let rules = shape.rules(krate, "Rejectable");
            quote_spanned!(here=> let (rules, reject) = #rules;)
        };
        let (find, rejected) = (self.find(), self.rejected());
        quote_spanned! {here=>
            #rules
            let breaker = #find;
            let mut guard = #krate::__private::BreakerRef::guard(&breaker);
            match #krate::__private::Guard::enter(&mut guard) {
                #krate::__private::Ok(()) => {}
                #rejected
            }
        }
    }

    /// The site stands in a block of its own: the user's code can't see it.
    fn find(&self) -> TokenStream {
        let Breaker { krate, args, function, .. } = self;
        let origin = wrap::origin(krate, function);
        let name = wrap::name(krate, args);
        let settings = wrap::settings(krate, "BreakerSettings", args);
        quote_spanned! {Span::mixed_site()=> {
            static SITE: #krate::__private::BreakerSite =
                #krate::__private::BreakerSite::new(#origin, #name, #settings);
            #krate::__private::inventory::submit! { #krate::__private::BreakerEntry(&SITE) }
            #krate::__private::BreakerSite::breaker(&SITE)
        }}
    }

    /// The arm of a call that was not let through.
    fn rejected(&self) -> TokenStream {
        let Breaker { krate, shape, args, .. } = self;
        let (here, output) = (Span::mixed_site(), &shape.output);
        let (error, answer) = match args.find("fallback").map(|arg| &arg.value) {
            Some(Value::Fallback(Expr::Closure(closure))) => {
                let answer = if closure.asyncness.is_some() {
                    quote_spanned!(here=> answer_async::<#output>(error, #closure).await)
                } else {
                    quote_spanned!(here=> answer::<#output>(error, #closure))
                };
                (quote_spanned!(here=> error), quote_spanned!(here=> #krate::__private::#answer))
            }
            Some(Value::Fallback(expr)) => (quote_spanned!(here=> _), quote!(#expr)),
            _ => (quote_spanned!(here=> error), quote_spanned!(here=> reject(error))),
        };
        quote_spanned!(here=> #krate::__private::Err(#error) => return #answer,)
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
}
