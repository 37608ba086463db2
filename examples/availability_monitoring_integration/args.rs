//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::corpus;
use crate::outage::Outage;

/// A small service that stores text files, finds passages in them, and knows how available it is.
///
/// It keeps a steady load on itself, and serves /health, /readiness, /liveness, /metrics and
/// /incidents. Let it run and ask these, or make a component fail and watch:
///
///   --for 30s --outage storage=10s
#[derive(Debug, Parser)]
#[command(name = "availability_monitoring_integration", verbatim_doc_comment)]
pub struct Args {
    /// Text files, or folders of Markdown, Rust and text files; by default this repository
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Makes a component fail 5 s after the service is ready: storage, embedder or vector_search,
    /// as in storage=10s; once for each that is to fail
    #[arg(long, value_name = "COMPONENT=DURATION", verbatim_doc_comment)]
    pub outage: Vec<Outage>,

    /// Ends by itself after so long, as in 30s or 2m, and sums up; otherwise it runs until Ctrl-C
    /// or SIGTERM
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, verbatim_doc_comment)]
    pub length: Option<Duration>,

    /// Where to serve the endpoints; by default AVAIL_LISTEN, or else 127.0.0.1:8000
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// The folder of the database and of the availability history; by default
    /// target/availability_monitoring_integration in this repository
    #[arg(long, value_name = "FOLDER", verbatim_doc_comment)]
    data: Option<PathBuf>,
}

impl Args {
    /// Where everything is kept.
    pub fn data(&self) -> PathBuf {
        let default = || corpus::repository().join("target/availability_monitoring_integration");
        self.data.clone().unwrap_or_else(default)
    }
}

/// A duration as people write it.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(format!("`{text}` is no duration; write one like 30s, 500ms or 1m30s")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_in_order() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "0s", "ten", "-5s", "10"] {
            assert!(duration(bad).is_err_and(|error| error.contains("like 30s")), "{bad:?}");
        }
    }
}
