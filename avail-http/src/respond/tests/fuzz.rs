//! Whatever is asked, there is an answer: no panic, and no 5xx but the 503 of a probe that does not
//! pass.

use http::header::{HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// Requests that are near to good ones: pieces that mean something, and anything between them.
fn near() -> impl Strategy<Value = Request<()>> {
    let piece = prop_oneof![
        proptest::sample::select(
            [GETTABLE.as_slice(), &["/", "//", "%", "%2F", "%ff", "::", "storage"]].concat()
        )
        .prop_map(str::to_owned),
        "[!$&'()*+,;=:@a-z0-9%/._~-]{0,8}",
    ];
    let path = vec(piece, 0..4).prop_map(|pieces| format!("/{}", pieces.concat()));
    let key = proptest::sample::select(
        ["verbose", "exclude", "status", "component", "since", "limit", "x"].as_slice(),
    );
    let value = prop_oneof![
        Just("storage".to_owned()),
        Just("open".to_owned()),
        Just("-262143-01-01T00:00:00Z".to_owned()),
        Just("9999-12-31T23:59:60%2B23:59".to_owned()),
        Just("18446744073709551616".to_owned()),
        "[!$&'()*+,;=:@a-zA-Z0-9%/?._~-]{0,12}",
    ];
    let query = vec((key, value), 0..4).prop_map(|pairs| {
        pairs.iter().map(|(key, value)| format!("&{key}={value}")).collect::<String>()
    });
    let accept = "[ -~]{0,40}|(text/plain|\\*/\\*|application/json)(;q=[0-9.a-z-]{0,6})?,?";
    let method = proptest::sample::select(["GET", "HEAD", "POST"].as_slice());
    let encoding = "(gzip|identity|br|\\*)?(;q=[0-9.]{0,4})?(, ?(gzip|\\*);q=[01])?";
    (method, path, query, accept, encoding, "(Bearer )?[ -~]{0,10}").prop_map(
        |(method, path, query, accept, encoding, authorization)| {
            // What is no address would not come this far.
            let uri: http::Uri = format!("{path}?{query}").parse().unwrap_or_default();
            let request = Request::builder().method(method).uri(uri);
            let request = request.header("accept", accept).header("authorization", authorization);
            let request = request.header("accept-encoding", encoding);
            request.body(()).expect("a request")
        },
    )
}

const NAMES: [&str; 6] =
    ["accept", "accept-encoding", "authorization", "host", "content-type", "x-any"];

/// Requests of any bytes that a server's parser lets through.
fn raw() -> impl Strategy<Value = Request<()>> {
    let header = (proptest::sample::select(NAMES.as_slice()), vec(any::<u8>(), 0..40));
    let line = ("[A-Z!#$%&'*+.^_`|~0-9-]{1,12}|GET", vec(any::<u8>(), 0..60));
    (line, vec(header, 0..8)).prop_map(|((method, target), headers)| {
        let mut request = Request::new(());
        *request.method_mut() = method.parse().unwrap_or_default();
        let target = [b"/".as_slice(), &target].concat();
        *request.uri_mut() = http::Uri::try_from(target).unwrap_or_default();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        request
    })
}

fn is_well(service: &Service, request: &Request<()>) -> Result<(), TestCaseError> {
    let response = respond(&service.endpoints, request);
    let (status, headers) = (response.status().as_u16(), response.headers());
    prop_assert!([200, 400, 404, 405, 503].contains(&status), "{status}");
    let path = request.uri().path();
    let may_fail = ["/health", "/read", "/live", "/startup"];
    prop_assert!(status != 503 || may_fail.iter().any(|probe| path.starts_with(probe)), "{path}");
    prop_assert_eq!(response.body().is_empty(), request.method() == Method::HEAD);
    prop_assert_eq!(&headers["cache-control"], "no-store");
    let is_json = headers["content-type"] == "application/json";
    if is_json && request.method() != Method::HEAD && !headers.contains_key("content-encoding") {
        prop_assert!(serde_json::from_slice::<Value>(response.body()).is_ok());
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_request_makes_it_fail() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.storage_works(false).await;
    let mut runner = TestRunner::new(crate::cases(2_000));
    runner.run(&near(), |request| is_well(&service, &request)).expect("every one is answered");
    runner.run(&raw(), |request| is_well(&service, &request)).expect("every one is answered");
}
