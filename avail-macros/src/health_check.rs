//! `#[health_check]`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{Error, FnArg, Result, Safety, Signature};

use crate::args::{Args, Errors, Key, Takes, Value};
use crate::item::Function;
use crate::shape::{Kind, Shape};
use crate::wrap;

const KEYS: [Key; 15] = [
    Key::new("name", Takes::Name),
    Key::new("critical", Takes::Flag),
    Key::new("interval", Takes::Duration),
    Key::new("timeout", Takes::Duration),
    Key::new("degraded_after", Takes::Duration),
    Key::new("retry_interval", Takes::Duration),
    Key::new("initial_delay", Takes::Delay),
    Key::new("failure_threshold", Takes::Count(u32::MAX)),
    Key::new("success_threshold", Takes::Count(u32::MAX)),
    Key::new("depends_on", Takes::Names),
    Key::new("probe", Takes::Choice(&PROBES)),
    Key::new("slo", Takes::Percentage),
    Key::new("slo_window", Takes::Duration),
    Key::new("tags", Takes::Names),
    Key::new("crate", Takes::Path),
];

const PROBES: [(&str, &str); 4] = [
    ("readiness", "Readiness"),
    ("liveness", "Liveness"),
    ("startup", "Startup"),
    ("none", "None"),
];

pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    wrap::or_errors(item, try_expand(args, item))
}

fn try_expand(args: TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let args = Args::parse(args, &KEYS, &mut errors);
    errors.note(timeout_within_interval(&args));
    let function = Function::parse(item.clone(), "health_check").and_then(|function| {
        can_be_run(&function.sig)?;
        Ok(function)
    });
    let function = errors.note(function);
    let function = errors.finish(function)?;
    Ok(function.with_body(&body(&args, &function)))
}

fn timeout_within_interval(args: &Args) -> Result<()> {
    let timeout = args.find("timeout").map(|arg| (&arg.value, arg.span));
    let interval = args.find("interval").map(|arg| &arg.value);
    match (timeout, interval) {
        (Some((Value::Duration(timeout), span)), Some(Value::Duration(interval)))
            if timeout >= interval =>
        {
            let problem = format!(
                "`timeout` ({timeout:?}) must be shorter than `interval` ({interval:?}): a run has \
                 to end before the next one"
            );
            Err(Error::new(span, problem))
        }
        _ => Ok(()),
    }
}

/// The monitor calls it, and has nothing to call it with.
fn can_be_run(sig: &Signature) -> Result<()> {
    const BY_HAND: &str = "register it by hand, as \
        `monitor.register(HealthCheck::new(\"name\", move || …))`";
    match sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) => {
            let problem = format!("a health check has no `self`: to check an instance, {BY_HAND}");
            return Err(Error::new(receiver.self_token.span, problem));
        }
        Some(argument) => {
            let problem = format!("a health check takes no arguments: to give it some, {BY_HAND}");
            return Err(Error::new_spanned(argument, problem));
        }
        None => {}
    }
    if let Some(parameter) = sig.generics.params.first() {
        let problem = "a health check has no generic parameters: nobody would choose them";
        return Err(Error::new_spanned(parameter, problem));
    }
    match &sig.safety {
        Safety::Unsafe(token) => {
            let problem = "a health check can't be `unsafe`: the monitor could not know when to \
                           call it";
            Err(Error::new(token.span, problem))
        }
        _ => Ok(()),
    }
}

// Input:
//     async fn storage_answers() -> Result<(), E> { BODY }
//
// Output:
//     async fn storage_answers() -> Result<(), E> {
//         {
//             static SITE: CheckSite =
//                 CheckSite::new(…, CheckFn::Async(|| check(storage_answers())));
//             submit! { CheckEntry(&SITE) }
//         }
//         { BODY }
//     }
fn body(args: &Args, function: &Function) -> TokenStream {
    let krate = &wrap::krate(args);
    let origin = wrap::origin(krate, function);
    let name = wrap::name(krate, args);
    let settings = wrap::settings(krate, "CheckSettings", args);
    let (run, body) = (run(krate, function), function.body());
    quote_spanned! {Span::mixed_site()=>
        {
            static SITE: #krate::__private::CheckSite =
                #krate::__private::CheckSite::new(#origin, #name, #settings, #run);
            #krate::__private::inventory::submit! { #krate::__private::CheckEntry(&SITE) }
        }
        #body
    }
}

fn run(krate: &TokenStream, function: &Function) -> TokenStream {
    let shape = Shape::of(&function.sig);
    let (ident, here) = (&function.sig.ident, Span::mixed_site());
    let call = shape.at_output(quote_spanned!(ident.span()=> #ident()));
    if shape.kind == Kind::Sync {
        let health = shape.path_at_output(krate, "health");
        quote_spanned!(here=> #krate::__private::CheckFn::Blocking(|| #health(#call)))
    } else {
        let check = shape.path_at_output(krate, "check");
        quote_spanned!(here=> #krate::__private::CheckFn::Async(|| #check(#call)))
    }
}
