//! `/metrics` for Prometheus.
//!
//! | file | what it holds |
//! |---|---|
//! | `families` | which metrics there are, and what they say |
//! | `encoder` | the two text forms |
//! | `sink` | what both of them, and any other way out, take figures by |

mod encoder;
mod families;
mod sink;

use avail_core::{AvailabilityMonitor, Snapshot};

use self::encoder::Encoder;
#[cfg(feature = "metrics")]
pub(crate) use self::encoder::{Kind, Label, Number};
#[cfg(feature = "metrics")]
pub(crate) use self::families::write as write_families;
#[cfg(feature = "metrics")]
pub(crate) use self::sink::Sink;

/// The two text forms that Prometheus reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// Prometheus' own, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Form {
    /// The content type to be sent with it.
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Text => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Every metric of a monitor, for those who have a `/metrics` of their own: in the form 0.0.4,
/// which can be put before or behind the text of another exporter.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use avail_core::AvailabilityMonitor;
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let text = avail_http::prometheus::render(&monitor);
/// assert!(text.contains("\navail_ready 1\n"));
/// # Ok(()) }
/// ```
pub fn render(monitor: &AvailabilityMonitor) -> String {
    render_as(monitor, Form::Text)
}

/// [`render`] in either form. One of [`Form::OpenMetrics`] ends with `# EOF`, and nothing may come
/// behind it.
pub fn render_as(monitor: &AvailabilityMonitor, form: Form) -> String {
    encode(&monitor.snapshot(), form)
}

/// Pure: from what is known to the text.
pub(crate) fn encode(snapshot: &Snapshot, form: Form) -> String {
    let room = 8_192 + 4_096 * snapshot.components.len() + 3_072 * snapshot.breakers.len();
    let mut encoder = Encoder::new(form, room);
    families::write(snapshot, &mut encoder);
    encoder.finish()
}

#[cfg(test)]
mod tests;
