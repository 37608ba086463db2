//! Content negotiation for `/metrics` (RFC 9110, 12.5.1 and 12.5.3).

use crate::prometheus::Form;

/// What `/metrics` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Prometheus(Form),
}

impl Format {
    /// What the client likes best of what there is. Where two are equally good, the more specific
    /// wins, then the first. Where there is nothing that it takes: JSON, which says more than 406.
    pub(crate) fn of(accept: &str) -> Format {
        let mut best: Option<(Rank, Format)> = None;
        for range in accept.split(',') {
            let Some((rank, format)) = offer(range) else { continue };
            if best.is_none_or(|(found, _)| rank.beats(found)) {
                best = Some((rank, format));
            }
        }
        best.map_or(Format::Json, |(_, format)| format)
    }

    /// For a path that has only text: OpenMetrics where it is liked best, else 0.0.4.
    pub(crate) fn text_form(accept: &str) -> Form {
        match Format::of(accept) {
            Format::Prometheus(form) => form,
            Format::Json => Form::Text,
        }
    }
}

/// Whether the client takes gzip, and does not like it less than what is not encoded.
pub(crate) fn takes_gzip(accept_encoding: &str) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for coding in accept_encoding.split(',') {
        let (name, weight) = weighed(coding);
        match &*name {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// A name in lower case, and its weight.
fn weighed(range: &str) -> (String, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
    let weight = parameters.rfind(|(key, _)| key.trim().eq_ignore_ascii_case("q"));
    (name, weight.map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0)))
}

/// How much a client likes something: the weight first, then how exactly it was named.
#[derive(Clone, Copy)]
struct Rank {
    weight: f32,
    specific: u8,
}

impl Rank {
    fn beats(self, other: Rank) -> bool {
        self.weight > other.weight
            || (self.weight >= other.weight && self.specific > other.specific)
    }
}

/// What a media range asks for; `None` for one that we have nothing for, or that is refused.
fn offer(range: &str) -> Option<(Rank, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let (mut weight, mut version) = (1.0_f32, None);
    for (key, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        match &*key.trim().to_ascii_lowercase() {
            "q" => weight = value.trim().parse().unwrap_or(0.0),
            "version" => version = Some(value.trim().trim_matches('"')),
            _ => {}
        }
    }
    let (specific, format) = match (&*media, version) {
        ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
            (2, Format::Prometheus(Form::OpenMetrics))
        }
        ("text/plain", None | Some("0.0.4")) => (2, Format::Prometheus(Form::Text)),
        ("application/json", _) => (2, Format::Json),
        ("text/*", _) => (1, Format::Prometheus(Form::Text)),
        ("application/*", _) => (1, Format::Json),
        ("*/*" | "*", _) => (0, Format::Json),
        _ => return None,
    };
    (weight > 0.0).then_some((Rank { weight, specific }, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Format = Format::Prometheus(Form::Text);
    const OPEN: Format = Format::Prometheus(Form::OpenMetrics);

    #[test]
    fn accept_decides_the_format() {
        let table = [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("application/json", Format::Json),
            ("application/*", Format::Json),
            ("text/plain", TEXT),
            ("Text/Plain; Version=0.0.4", TEXT),
            ("text/*", TEXT),
            ("application/openmetrics-text", OPEN),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPEN),
            ("application/openmetrics-text; version=\"1.0.0\"", OPEN),
            // Versions that do not exist yet, and what we can't speak.
            ("application/openmetrics-text; version=2.0.0, text/plain", TEXT),
            ("text/plain; version=1.0.0, */*;q=0.1", Format::Json),
            ("application/vnd.google.protobuf", Format::Json),
            ("image/png", Format::Json),
            // Weights.
            ("text/plain;q=0.5, application/json;q=0.4", TEXT),
            ("text/plain;q=0.4, application/json;q=0.5", Format::Json),
            ("text/plain;q=0, */*;q=0.1", Format::Json),
            ("application/json;q=0, text/plain;q=0.1", TEXT),
            ("text/plain;q=x", Format::Json),
            ("text/plain ; q = 0.9 , application/json ; q = 0.1", TEXT),
            // Equal weights: the more specific, then the first.
            ("*/*, text/plain", TEXT),
            ("text/plain, application/json", TEXT),
            ("application/json, text/plain", Format::Json),
            // A browser.
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Json),
            // Prometheus 2.4x.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPEN,
            ),
            // Prometheus 3, and with protobuf before the texts.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.7,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPEN,
            ),
            // Prometheus 2.2x, which asks for the text first.
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT),
        ];
        for (accept, format) in table {
            assert_eq!(Format::of(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn a_path_that_has_only_text_gives_text_to_everybody() {
        assert_eq!(Format::text_form("application/json"), Form::Text);
        assert_eq!(Format::text_form(""), Form::Text);
        assert_eq!(Format::text_form("application/openmetrics-text"), Form::OpenMetrics);
    }

    #[test]
    fn gzip_is_taken_where_the_client_says_so_and_likes_nothing_better() {
        let table = [
            ("", false),
            ("gzip", true),
            ("GZip", true),
            ("x-gzip", true),
            ("*", true),
            ("deflate, br", false),
            ("gzip, deflate, br, zstd", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, *", false),
            ("*;q=0", false),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("identity, gzip;q=0.5", false),
            ("identity;q=0.5, gzip", true),
            ("identity;q=0, *", true),
            ("gzip ; Q = 0.5", true),
            ("gzip;q=x", false),
            ("gzip;q=NaN", false),
        ];
        for (accept, taken) in table {
            assert_eq!(takes_gzip(accept), taken, "{accept:?}");
        }
    }
}
