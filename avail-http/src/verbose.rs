//! The text form of the probes, which is that of the Kubernetes API server:
//!
//! ```text
//! [+]started ok
//! [+]storage ok
//! [-]embedder failed: reason withheld
//! readiness check failed
//! ```

use std::fmt::Write;

use avail_core::{ComponentStatus, HealthStatus, Probe, SystemStatus};

use crate::query::{QueryError, once, pairs};
use crate::security::Sight;

/// What `?verbose` and `?exclude=name` ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextQuery {
    verbose: bool,
    excluded: Vec<String>,
}

impl TextQuery {
    /// `None` where neither is there: the answer is JSON. `exclude` may be there many times.
    pub(crate) fn parse(query: &str) -> Result<Option<Self>, QueryError> {
        let (mut verbose, mut excluded) = (None, Vec::new());
        for (key, value) in pairs(query) {
            match &*key {
                "verbose" => once(&mut verbose, "verbose", ())?,
                "exclude" => excluded.push(value),
                _ => {}
            }
        }
        let text = TextQuery { verbose: verbose.is_some(), excluded };
        Ok((text != TextQuery::default()).then_some(text))
    }
}

/// One thing that a probe looks at.
struct Fact<'a> {
    name: &'a str,
    ok: bool,
    reason: String,
    /// Whether the probe fails with it.
    decides: bool,
}

impl<'a> Fact<'a> {
    fn own(name: &'a str, ok: bool, reason: &str) -> Self {
        Fact { name, ok, reason: reason.into(), decides: true }
    }

    fn of(one: &'a ComponentStatus, ok: bool, decides: bool, sight: Sight) -> Self {
        let text = sight.text(one.error.as_deref());
        let reason = match (text, one.status) {
            (_, HealthStatus::Unknown) => "no run of its check has ended of late".into(),
            (Some(text), _) => text,
            (None, _) if sight == Sight::Full => one.class.map_or("", |c| c.as_str()).into(),
            (None, _) => WITHHELD.into(),
        };
        Fact { name: &one.name, ok, reason, decides }
    }
}

const WITHHELD: &str = "reason withheld";

/// The text of `/health`, and whether it passes.
pub(crate) fn health(status: &SystemStatus, sight: Sight, query: &TextQuery) -> (bool, String) {
    let components = status.components.iter();
    let facts = components.map(|one| Fact::of(one, one.status.is_up(), one.critical, sight));
    write("health", &facts.collect::<Vec<_>>(), query)
}

/// The text of `/readiness`, and whether it passes.
pub(crate) fn readiness(status: &SystemStatus, sight: Sight, query: &TextQuery) -> (bool, String) {
    let mut facts = vec![
        Fact::own("running", status.running, "the monitor has stopped"),
        Fact::own("started", status.started, "a critical check has not passed yet"),
        Fact::own("shutdown", !status.draining, "the process is draining"),
    ];
    if status.switched_off {
        facts.push(Fact::own("switch", false, "it is switched off by hand"));
    }
    let critical = status.critical();
    facts.extend(critical.map(|one| Fact::of(one, one.status.is_up(), true, sight)));
    write("readiness", &facts, query)
}

/// The text of `/liveness`, and whether it passes.
pub(crate) fn liveness(status: &SystemStatus, sight: Sight, query: &TextQuery) -> (bool, String) {
    let fatal = sight.text(status.fatal.as_deref());
    let mut facts = vec![
        Fact::own("runtime", status.responsive, "it has not run a task for too long"),
        Fact::own("fatal", status.fatal.is_none(), fatal.as_deref().unwrap_or(WITHHELD)),
    ];
    if status.stuck {
        facts.push(Fact::own("incidents", false, "one has lasted for too long"));
    }
    let local = status.components.iter().filter(|one| one.probe == Probe::Liveness);
    facts.extend(local.map(|one| {
        let ok = one.status != HealthStatus::Unhealthy;
        Fact::of(one, ok, true, sight)
    }));
    write("liveness", &facts, query)
}

/// The text of `/startup`, and whether it passes.
pub(crate) fn startup(status: &SystemStatus, query: &TextQuery) -> (bool, String) {
    let started = Fact::own("started", status.started, "a critical check has not passed yet");
    write("startup", &[started], query)
}

/// As the API server does: one that passes and was not asked to be verbose says only `ok`.
fn write(probe: &str, facts: &[Fact<'_>], query: &TextQuery) -> (bool, String) {
    let excluded = |fact: &Fact<'_>| query.excluded.iter().any(|name| name == fact.name);
    let passes = facts.iter().all(|fact| fact.ok || !fact.decides || excluded(fact));
    if passes && !query.verbose {
        return (true, "ok".into());
    }
    let mut text = String::new();
    for fact in facts {
        let name = one_line(fact.name);
        // Writing into a string can't fail.
        let _ = match (excluded(fact), fact.ok) {
            (true, _) => writeln!(text, "[+]{name} excluded: ok"),
            (false, true) => writeln!(text, "[+]{name} ok"),
            (false, false) => writeln!(text, "[-]{name} failed: {}", one_line(&fact.reason)),
        };
    }
    for name in query.excluded.iter().filter(|name| facts.iter().all(|fact| fact.name != **name)) {
        let _ = writeln!(text, "warn: `{}` can't be excluded: no such check", one_line(name));
    }
    let _ = writeln!(text, "{probe} check {}", if passes { "passed" } else { "failed" });
    (passes, text)
}

/// A name or a reason must not look like another line.
fn one_line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(name: &str, ok: bool, decides: bool) -> Fact<'_> {
        Fact { name, ok, reason: WITHHELD.into(), decides }
    }

    fn asked(query: &str) -> Option<TextQuery> {
        TextQuery::parse(query).expect("a good query")
    }

    fn text(facts: &[Fact<'_>], query: &str) -> (bool, String) {
        write("readiness", facts, &asked(query).expect("a text is asked for"))
    }

    #[test]
    fn a_failing_check_fails_the_probe_and_withholds_its_reason() {
        let facts = vec![fact("storage", true, true), fact("embedder", false, true)];
        let expected =
            "[+]storage ok\n[-]embedder failed: reason withheld\nreadiness check failed\n";
        assert_eq!(text(&facts, "verbose"), (false, expected.into()));
    }

    #[test]
    fn an_excluded_check_does_not_count() {
        let facts = || vec![fact("storage", true, true), fact("embedder", false, true)];
        assert_eq!(text(&facts(), "exclude=embedder"), (true, "ok".into()));
        let expected = "[+]storage ok\n[+]embedder excluded: ok\nreadiness check passed\n";
        assert_eq!(text(&facts(), "verbose&exclude=embedder"), (true, expected.into()));
    }

    #[test]
    fn an_unknown_exclusion_is_said_to_be_one() {
        let (passes, text) = text(&[fact("storage", false, true)], "exclude=stroage%0a[%2b]x");
        assert!(!passes);
        assert!(text.contains("warn: `stroage [+]x` can't be excluded: no such check\n"), "{text}");
    }

    #[test]
    fn what_does_not_decide_is_listed_and_does_not_fail() {
        let expected = "[-]cache failed: reason withheld\nreadiness check passed\n";
        assert_eq!(text(&[fact("cache", false, false)], "verbose"), (true, expected.into()));
    }

    #[test]
    fn without_either_key_no_text_is_asked_for() {
        assert_eq!(asked(""), None);
        assert_eq!(asked("verbos=1&_=2"), None);
        assert!(asked("verbose").is_some());
        assert!(asked("verbose=false").is_some(), "as for the API server");
    }

    #[test]
    fn exclude_may_be_there_many_times_and_verbose_once() {
        let query = asked("exclude=a&exclude=b&verbose").expect("a text is asked for");
        assert_eq!((query.verbose, query.excluded.len()), (true, 2));
        let error = TextQuery::parse("verbose&verbose").expect_err("twice").to_string();
        assert_eq!(error, "`verbose` is there more than once: it is allowed once");
    }
}
