//! Outages on request. They are real: what a component lives on is taken from it, and given back at
//! the end. Nothing here tells the breakers, the checks or the monitor of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use avail::AvailabilityMonitor;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::args;
use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::status::say;

/// How long the service has been ready when the outages begin.
const DELAY: Duration = Duration::from_secs(5);

/// How often a component that can't be brought back yet is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    Storage,
    Embedder,
    VectorSearch,
}

impl Component {
    const ALL: [Component; 3] = [Component::Storage, Component::Embedder, Component::VectorSearch];

    fn as_str(self) -> &'static str {
        match self {
            Component::Storage => "storage",
            Component::Embedder => "embedder",
            Component::VectorSearch => "vector_search",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A component that is to fail, and for how long: `storage=10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    pub component: Component,
    pub length: Duration,
}

impl FromStr for Outage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, length) =
            text.split_once('=').ok_or("it takes a component and a duration, as in storage=10s")?;
        let component = Component::ALL.into_iter().find(|component| component.as_str() == name);
        let component = component.ok_or_else(|| {
            let known = Component::ALL.map(Component::as_str).join(", ");
            format!("there is no component `{name}`; it is one of {known}")
        })?;
        Ok(Outage { component, length: args::duration(length)? })
    }
}

/// Refuses to let a component fail twice at once.
pub fn refuse_repeated(outages: &[Outage]) -> Result<(), String> {
    for (at, outage) in outages.iter().enumerate() {
        let name = outage.component;
        if outages[..at].iter().any(|before| before.component == name) {
            return Err(format!("--outage names `{name}` twice; give it one outage, a longer one"));
        }
    }
    Ok(())
}

/// Waits until the service is ready and a little longer, then all of them begin.
pub async fn strike_each(
    engine: &'static Engine,
    monitor: &AvailabilityMonitor,
    outages: Vec<Outage>,
) {
    while !monitor.status().ready {
        sleep(RETRY).await;
    }
    sleep(DELAY).await;
    let mut struck = JoinSet::new();
    for outage in outages {
        struck.spawn(strike(engine, outage));
    }
    struck.join_all().await;
}

/// Makes the component fail, and brings it back at the end.
async fn strike(engine: &'static Engine, Outage { component, length }: Outage) {
    say(format_args!(">> {component} fails for {length:?}: {}", take_away(engine, component)));
    sleep(length).await;
    while let Err(error) = give_back(engine, component).await {
        say(format_args!(">> {component} can't come back yet: {error}"));
        sleep(RETRY).await;
    }
    say(format_args!(">> {component} works again"));
}

fn take_away(engine: &Engine, component: Component) -> &'static str {
    match component {
        Component::Storage => {
            engine.storage.close();
            "the database is closed"
        }
        Component::Embedder => {
            engine.embedder.stop();
            "its worker is stopped"
        }
        Component::VectorSearch => {
            engine.index.lose();
            "the index is thrown away"
        }
    }
}

async fn give_back(engine: &'static Engine, component: Component) -> Result<(), EngineError> {
    let work = move || {
        match component {
            Component::Storage => engine.storage.reopen()?,
            Component::Embedder => engine.embedder.restart(),
            Component::VectorSearch => engine.index.rebuild(engine.storage.embeddings()?),
        }
        Ok(())
    };
    crate::engine::blocking(work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_a_component_and_a_duration() {
        let outage = "vector_search=1m 30s".parse();
        let expected =
            Outage { component: Component::VectorSearch, length: Duration::from_secs(90) };
        assert_eq!(outage, Ok(expected));
    }

    #[test]
    fn a_component_fails_once() {
        let outages = |all: [&str; 2]| all.map(|text| text.parse().expect("an outage"));
        assert_eq!(refuse_repeated(&outages(["storage=1s", "embedder=1s"])), Ok(()));
        assert!(refuse_repeated(&outages(["storage=1s", "storage=2s"])).is_err());
    }

    #[test]
    fn each_mistake_is_named_with_what_would_be_right() {
        let cases = [
            ("storage", "it takes a component and a duration, as in storage=10s"),
            ("disk=10s", "no component `disk`; it is one of storage, embedder, vector_search"),
            ("storage=soon", "`soon` is no duration"),
            ("storage=0s", "`0s` is no duration"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Outage>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
