//! What keys mean together, and what a function must be for them. A key whose value is wrong has left
//! an error already, and contradicts nothing.

use std::time::Duration;

use syn::{Error, Result, Signature};

use crate::args::{Arg, Args, Errors, Value};
use crate::shape::Kind;

const TIMEOUT: Duration = Duration::from_secs(60);
const WINDOW: u32 = 100;
const MIN_CALLS: u32 = 10;

pub(super) fn check(args: &Args, errors: &mut Errors) {
    errors.note(slow_call_rate_has_slow_call(args));
    errors.note(slow_in_flight_has_its_rate(args));
    errors.note(window_holds_min_calls(args));
    errors.note(max_timeout_is_the_longest(args));
    errors.note(max_keys_has_key(args));
}

/// Only a future can be cut off, or given up.
const OF_FUTURES: [(&str, &str); 2] =
    [("call_timeout", "be cut off"), ("cancel_failure_after", "be given up")];

pub(super) fn check_shape(args: &Args, kind: Kind, errors: &mut Errors) {
    if kind != Kind::Sync {
        return;
    }
    for (key, does) in OF_FUTURES {
        if let Some(arg) = args.find(key) {
            let problem = format!(
                "`{key}` needs a function that returns a future: a call of any other can't {does} \
                 before it returns"
            );
            errors.push(Error::new(arg.key_span, problem));
        }
    }
}

/// The same for a method of a block, which others of the block may hold for.
pub(super) fn check_method(args: &Args, kind: Kind, sig: &Signature) -> Result<()> {
    match OF_FUTURES.into_iter().find(|(key, _)| kind == Kind::Sync && args.has(key)) {
        Some((key, does)) => {
            let problem = format!(
                "`{key}` can't hold for `{}`, which returns no future: a call can't {does} before it \
                 returns; leave it out with `#[avail(skip)]`, or give it an attribute of its own",
                sig.ident
            );
            Err(Error::new(sig.ident.span(), problem))
        }
        None => Ok(()),
    }
}

fn slow_call_rate_has_slow_call(args: &Args) -> Result<()> {
    let problem = "`slow_call_rate` needs `slow_call`: from which time on is a call slow?";
    needs(args, "slow_call_rate", "slow_call", problem)
}

fn slow_in_flight_has_its_rate(args: &Args) -> Result<()> {
    match args.find("slow_in_flight").map(|arg| &arg.value) {
        Some(Value::Flag(true)) => {
            let problem = "`slow_in_flight` needs `slow_call_rate`: nothing else looks at it";
            needs(args, "slow_in_flight", "slow_call_rate", problem)
        }
        _ => Ok(()),
    }
}

fn max_keys_has_key(args: &Args) -> Result<()> {
    needs(args, "max_keys", "key", "`max_keys` needs `key`: of what are there so many?")
}

fn needs(args: &Args, key: &str, other: &str, problem: &str) -> Result<()> {
    match args.find(key) {
        Some(arg) if !args.has(other) => Err(Error::new(arg.key_span, problem)),
        _ => Ok(()),
    }
}

/// A rate would never be taken.
fn window_holds_min_calls(args: &Args) -> Result<()> {
    let has_rates = args.has("failure_rate") || args.has("slow_call_rate");
    let known = both(args, "window", "min_calls");
    let Some((window, min_calls)) = known.filter(|_| has_rates) else { return Ok(()) };
    let calls = match window.map(|arg| &arg.value) {
        Some(Value::WindowOfCalls(calls)) => *calls,
        Some(_) => return Ok(()),
        None => WINDOW,
    };
    let (least, by_default) = match min_calls.map(|arg| &arg.value) {
        Some(Value::Count(least)) => (*least, ""),
        _ => (MIN_CALLS, " by default"),
    };
    match min_calls.or(window) {
        Some(arg) if least > calls => {
            let problem = format!(
                "`min_calls` is {least}{by_default}, and may be at most {calls}: there are never \
                 more in the `window`"
            );
            Err(Error::new(arg.span, problem))
        }
        _ => Ok(()),
    }
}

fn max_timeout_is_the_longest(args: &Args) -> Result<()> {
    let Some((Some(most), timeout)) = both(args, "max_timeout", "timeout") else { return Ok(()) };
    let (timeout, by_default) = match timeout.map(|arg| &arg.value) {
        Some(Value::Duration(timeout)) => (*timeout, ""),
        _ => (TIMEOUT, " by default"),
    };
    match most.value {
        Value::Duration(longest) if longest < timeout => {
            let problem = format!(
                "`max_timeout` ({longest:?}) is shorter than `timeout` ({timeout:?}{by_default}), \
                 and must be at least as long"
            );
            Err(Error::new(most.span, problem))
        }
        _ => Ok(()),
    }
}

/// Two keys, each as given or left to its default; `None`: one of them has left an error.
fn both<'a>(args: &'a Args, a: &str, b: &str) -> Option<(Option<&'a Arg>, Option<&'a Arg>)> {
    let known = |key| match args.find(key) {
        None if args.has(key) => None,
        found => Some(found),
    };
    Some((known(a)?, known(b)?))
}
