//! A response in the making.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;

use crate::gzip::gzip;

const JSON: &str = "application/json";
/// What a client that meets a process which starts or ends is told to wait, in seconds.
const RETRY_AFTER: &str = "5";

/// A response in the making: what every one of ours has, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(crate) fn text(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let body = body.into();
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        Answer { status, headers, body }
    }

    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self::text(status, JSON, body),
            Err(error) => {
                tracing::error!(%error, "a body could not be serialised");
                Self::broken()
            }
        }
    }

    pub(crate) fn broken() -> Self {
        let body = r#"{"error":"the answer could not be made; the log says why"}"#;
        Self::text(StatusCode::INTERNAL_SERVER_ERROR, JSON, body)
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same in gzip, where that is worth it.
    pub(crate) fn packed(mut self) -> Self {
        let Some(packed) = gzip(&self.body) else { return self };
        self.body = packed.into();
        let length = HeaderValue::from(self.body.len());
        self.with(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))
            .with(header::CONTENT_LENGTH, length)
    }

    /// Where it is a refusal and `soon` holds, it says when to come again.
    pub(crate) fn or_retry_if(self, soon: bool) -> Self {
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE if soon => {
                self.with(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER))
            }
            _ => self,
        }
    }

    /// The answer to HEAD has every header of the answer to GET, and no body.
    pub(crate) fn into_response(self, head: bool) -> Response<Bytes> {
        let mut response = Response::new(if head { Bytes::new() } else { self.body });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_can_not_be_serialised_is_an_answer_with_500() {
        let broken = std::collections::HashMap::from([((1, 2), 3)]);
        let response = Answer::json(StatusCode::OK, &broken).into_response(false);
        assert_eq!(response.status(), 500);
        let body: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert!(body["error"].is_string());
    }
}
