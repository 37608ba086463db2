//! Which path means what.

use crate::kept::Probe;
use crate::query::decode;

/// Every path, as lists and routers name it; each is there with a trailing slash, too.
pub(crate) const PATHS: [&str; 11] = [
    "/health",
    "/health/{component}",
    "/readiness",
    "/readyz",
    "/liveness",
    "/livez",
    "/startup",
    "/startupz",
    "/metrics",
    "/metrics/prometheus",
    "/incidents",
];

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Probe(Probe),
    Component(String),
    Metrics,
    Prometheus,
    Incidents,
}

impl Route {
    /// No redirect to or from a trailing slash: a kubelet takes a redirect for a success.
    pub(crate) fn of(path: &str) -> Option<Route> {
        match path.strip_suffix('/').unwrap_or(path) {
            "/health" => Some(Route::Probe(Probe::Health)),
            "/readiness" | "/readyz" => Some(Route::Probe(Probe::Readiness)),
            "/liveness" | "/livez" => Some(Route::Probe(Probe::Liveness)),
            "/startup" | "/startupz" => Some(Route::Probe(Probe::Startup)),
            "/metrics" => Some(Route::Metrics),
            "/metrics/prometheus" => Some(Route::Prometheus),
            "/incidents" => Some(Route::Incidents),
            other => {
                let component = other.strip_prefix("/health/").filter(|name| !name.is_empty())?;
                Some(Route::Component(decode(component)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_route_with_and_without_a_trailing_slash() {
        let table = [
            ("/health", Route::Probe(Probe::Health)),
            ("/health/storage", Route::Component("storage".into())),
            ("/health/app::db%20main", Route::Component("app::db main".into())),
            ("/health/a%2Fb", Route::Component("a/b".into())),
            ("/readiness", Route::Probe(Probe::Readiness)),
            ("/readyz", Route::Probe(Probe::Readiness)),
            ("/liveness", Route::Probe(Probe::Liveness)),
            ("/livez", Route::Probe(Probe::Liveness)),
            ("/startup", Route::Probe(Probe::Startup)),
            ("/startupz", Route::Probe(Probe::Startup)),
            ("/metrics", Route::Metrics),
            ("/metrics/prometheus", Route::Prometheus),
            ("/incidents", Route::Incidents),
        ];
        for (path, route) in table {
            assert_eq!(Route::of(path).as_ref(), Some(&route), "{path}");
            assert_eq!(Route::of(&format!("{path}/")), Some(route), "{path}/");
        }
        for path in PATHS {
            assert!(Route::of(path).is_some(), "{path}");
        }
    }

    #[test]
    fn any_other_path_has_none() {
        for path in
            ["", "/", "*", "health", "/Health", "/healthz", "/health//", "/metrics/x", "//health"]
        {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }
}
