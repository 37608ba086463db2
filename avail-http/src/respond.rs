//! From a request to a response: no socket, no task, no clock but the monitor's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use avail_core::SystemStatus;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;

use crate::HealthEndpoints;
use crate::accept::{Format, takes_gzip};
use crate::answer::Answer;
use crate::body::{ComponentBody, HealthBody, LivenessBody, ReadinessBody, StartupBody};
use crate::kept::Probe;
use crate::prometheus::{self, Form};
use crate::query::{IncidentQuery, QueryError};
use crate::quote::Quoted;
use crate::route::{PATHS, Route};
use crate::security::{Caller, Sight};
use crate::verbose::{self, TextQuery};

const PLAIN: &str = "text/plain; charset=utf-8";
const ALLOWED: &str = "GET, HEAD";

/// Answers a request to one of the endpoints; the body of the request is not looked at.
///
/// It never fails: what goes wrong within is a response with status 500.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry};
/// use avail_http::{HealthEndpoints, respond};
///
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let endpoints = HealthEndpoints::new(monitor, CircuitBreakerRegistry::global());
///
/// let request = http::Request::get("/liveness").body(())?;
/// let response = respond(&endpoints, &request);
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.headers()["content-type"], "application/json");
/// # Ok(()) }
/// ```
pub fn respond<B>(endpoints: &HealthEndpoints, request: &Request<B>) -> Response<Bytes> {
    let asked = Asked {
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
    };
    let answer = guarded(|| asked.answer(endpoints));
    answer.into_response(request.method() == Method::HEAD)
}

/// A panic within is one failed answer, and nothing more.
fn guarded(answer: impl FnOnce() -> Answer) -> Answer {
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
        tracing::error!("the answer to a request panicked");
        Answer::broken()
    })
}

/// A request without its body.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    fn answer(&self, endpoints: &HealthEndpoints) -> Answer {
        let Some(route) = Route::of(self.path) else {
            let body = json!({ "error": "there is nothing at this path", "paths": PATHS });
            return Answer::json(StatusCode::NOT_FOUND, &body);
        };
        if ![Method::GET, Method::HEAD].contains(self.method) {
            let body = json!({ "error": "this path takes GET and HEAD only" });
            return Answer::json(StatusCode::METHOD_NOT_ALLOWED, &body)
                .with(header::ALLOW, HeaderValue::from_static(ALLOWED));
        }
        match route {
            Route::Probe(probe) => self.probe(probe, endpoints),
            Route::Component(name) => component(endpoints, &name, self.caller(endpoints)),
            Route::Metrics => self.negotiated(match Format::of(&self.list(header::ACCEPT)) {
                Format::Json => {
                    Answer::json(StatusCode::OK, &endpoints.metrics_for(self.caller(endpoints)))
                }
                Format::Prometheus(form) => exposition(endpoints, form),
            }),
            Route::Prometheus => {
                let form = Format::text_form(&self.list(header::ACCEPT));
                self.negotiated(exposition(endpoints, form))
            }
            Route::Incidents => self.incidents(endpoints),
        }
    }

    fn probe(&self, probe: Probe, endpoints: &HealthEndpoints) -> Answer {
        match TextQuery::parse(self.query) {
            Err(error) => bad_query(&error),
            Ok(Some(query)) => in_words(
                probe,
                &endpoints.status(),
                endpoints.sight(self.caller(endpoints)),
                &query,
            ),
            Ok(None) => endpoints.kept().answer(probe, endpoints.monitor(), || {
                let status = endpoints.status();
                in_json(probe, &status).or_retry_if(may_pass_soon(probe, &status))
            }),
        }
    }

    fn incidents(&self, endpoints: &HealthEndpoints) -> Answer {
        let query = match IncidentQuery::parse(self.query) {
            Ok(query) => query,
            Err(error) => return bad_query(&error),
        };
        match &query.component {
            Some(name) if !endpoints.knows(name) => no_component(name, &endpoints.status()),
            _ => Answer::json(
                StatusCode::OK,
                &endpoints.incidents_for(self.caller(endpoints), &query),
            ),
        }
    }

    fn caller(&self, endpoints: &HealthEndpoints) -> Caller {
        let authorization = self.headers.get(header::AUTHORIZATION);
        endpoints.caller(authorization.map(HeaderValue::as_bytes))
    }

    /// An answer that depends on what the client takes.
    fn negotiated(&self, answer: Answer) -> Answer {
        let packs = takes_gzip(&self.list(header::ACCEPT_ENCODING));
        let answer = if packs { answer.packed() } else { answer };
        answer.with(header::VARY, HeaderValue::from_static("accept, accept-encoding"))
    }

    /// A header that is a list: several lines of it are one.
    fn list(&self, name: HeaderName) -> String {
        let values = self.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
    }
}

fn passed(passes: bool) -> StatusCode {
    if passes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn bad_query(error: &QueryError) -> Answer {
    Answer::json(StatusCode::BAD_REQUEST, &json!({ "error": error.to_string() }))
}

fn in_json(probe: Probe, status: &SystemStatus) -> Answer {
    match probe {
        Probe::Health => Answer::json(passed(status.status.is_up()), &HealthBody::of(status)),
        Probe::Readiness => Answer::json(passed(status.ready), &ReadinessBody::of(status)),
        Probe::Liveness => Answer::json(passed(status.alive), &LivenessBody::of(status)),
        Probe::Startup => Answer::json(passed(status.started), &StartupBody::of(status)),
    }
}

fn in_words(probe: Probe, status: &SystemStatus, sight: Sight, query: &TextQuery) -> Answer {
    let (passes, text) = match probe {
        Probe::Health => verbose::health(status, sight, query),
        Probe::Readiness => verbose::readiness(status, sight, query),
        Probe::Liveness => verbose::liveness(status, sight, query),
        Probe::Startup => verbose::startup(status, query),
    };
    Answer::text(passed(passes), PLAIN, text).or_retry_if(may_pass_soon(probe, status))
}

/// Not being ready is a matter of time while it starts, or another process takes over.
fn may_pass_soon(probe: Probe, status: &SystemStatus) -> bool {
    probe == Probe::Readiness && (!status.started || status.draining)
}

fn component(endpoints: &HealthEndpoints, name: &str, caller: Caller) -> Answer {
    let status = endpoints.status();
    let Some(component) = status.component(name) else { return no_component(name, &status) };
    let body = ComponentBody::of(component, status.timestamp, endpoints.sight(caller));
    Answer::json(passed(body.status.is_up()), &body)
}

fn no_component(name: &str, status: &SystemStatus) -> Answer {
    let components: Vec<Arc<str>> =
        status.components.iter().map(|component| component.name.clone()).collect();
    let error = format!("there is no component {}", Quoted(name));
    Answer::json(StatusCode::NOT_FOUND, &json!({ "error": error, "components": components }))
}

fn exposition(endpoints: &HealthEndpoints, form: Form) -> Answer {
    let text = prometheus::encode(&endpoints.snapshot(), form);
    Answer::text(StatusCode::OK, form.content_type(), text)
}

#[cfg(test)]
mod tests;
