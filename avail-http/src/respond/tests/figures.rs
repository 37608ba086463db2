//! Metrics and incidents: what they say, in which form, and of which of them.

use super::*;

#[tokio::test(start_paused = true)]
async fn metrics_add_up() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.storage_works(false).await;
    service.storage_works(true).await;

    let response = service.get("/metrics");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    for window in ["24h", "7d", "30d", "all_time"] {
        let figures = &body["availability"][window];
        assert_eq!(figures["downtime_seconds"], figures["mttr"], "one outage in {window}");
        let (up, down) = (&figures["uptime_seconds"], &figures["downtime_seconds"]);
        let (up, down) = (up.as_f64().expect("U"), down.as_f64().expect("D"));
        assert!(up > 1.0 && down > 1.0, "{figures}");
        let percentage = figures["percentage"].as_f64().expect("a percentage");
        assert!((percentage - up / (up + down) * 100.0).abs() < 1e-9, "{figures}");
        assert_eq!(figures["mtbf"], up, "one outage in {window}");
        assert_eq!(figures["incidents"], 1);
        assert_eq!(&body["components"]["storage"]["availability"][window], figures);
    }
    assert_eq!(body["availability"]["all_time"]["coverage"], 1.0);
    let day = serde_json::to_string(&body["availability"]["24h"]).expect("JSON");
    for key in ["percentage", "uptime_seconds", "downtime_seconds", "mtbf", "mttr", "coverage"] {
        assert!(day.contains(&format!("\"{key}\":")), "{key}");
    }

    let slo = &body["slo"];
    assert_eq!((&slo["objective"], &slo["declared"]), (&json!(99.9), &json!(false)));
    let spent = &body["availability"]["30d"]["downtime_seconds"];
    assert_eq!(&slo["error_budget"]["spent_seconds"], spent);
    assert_eq!((&slo["alert"], &slo["burn_rates"][0]["window"]), (&json!("page"), &json!("5m")));
    assert_eq!(body["components"]["storage"]["slo"], *slo);

    let checks = &body["health_checks"];
    let [total, successful, failed] =
        ["total", "successful", "failed"].map(|key| checks[key].as_u64().expect("a count"));
    assert!(failed > 0 && successful > 0, "{checks}");
    assert_eq!(total, successful + failed);
    let rate = successful as f64 / total as f64 * 100.0;
    assert_eq!(checks["success_rate"], rate);
    assert_eq!(body["incidents"], json!({ "active": 0, "total_24h": 1, "total_7d": 1 }));

    let storage = &body["components"]["storage"];
    assert_eq!((&storage["status"], &storage["critical"]), (&json!("healthy"), &json!(true)));
    assert!(is_timestamp(&storage["last_check"]), "{storage}");
    assert!(storage["latency_seconds"].is_f64(), "{storage}");
}

#[tokio::test(start_paused = true)]
async fn without_a_run_there_is_no_rate_and_no_percentage() {
    let _isolated = isolated();
    let service = Service::start().await;
    let body = service.json("/metrics");
    let none = json!({ "total": 0, "successful": 0, "failed": 0, "success_rate": null });
    assert_eq!(body["health_checks"], none);
    assert_eq!(body["components"]["storage"]["availability"]["24h"]["percentage"], Value::Null);
    assert_eq!(body["components"]["storage"]["last_check"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn circuit_breakers_are_listed_as_they_are() {
    let _isolated = isolated();
    let service = Service::started().await;
    let breakers = service.monitor.breakers();
    breakers.get_or_create("cache").trip();
    let listed = service.json("/metrics")["circuit_breakers"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&json!("cache"), &json!("open")));
    assert_eq!(listed[0]["failure_count"], 0);
    assert_eq!(listed, serde_json::to_value(breakers.all_metrics()).expect("JSON"));
}

#[tokio::test(start_paused = true)]
async fn an_incident_has_the_fields_of_the_contract() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.storage_works(false).await;
    let body = service.json("/incidents");
    let active = &body["active_incidents"][0];
    assert_eq!((&active["end_time"], &active["resolved"]), (&Value::Null, &json!(false)));
    assert_eq!(&body["recent_incidents_24h"][0], active, "an active one is recent, too");

    service.storage_works(true).await;
    let body = service.json("/incidents");
    assert_eq!(body["active_incidents"], json!([]));
    let incident = &body["recent_incidents_24h"][0];
    assert_eq!((&incident["component"], &incident["resolved"]), (&json!("storage"), &json!(true)));
    assert_eq!((&incident["severity"], &incident["class"]), (&json!("critical"), &json!("failed")));
    let time = |key: &str| {
        assert!(is_timestamp(&incident[key]), "{key}: {incident}");
        let text = incident[key].as_str().expect("a text");
        chrono::DateTime::parse_from_rfc3339(text).expect("a time")
    };
    let length = (time("end_time") - time("start_time")).num_milliseconds() as f64 / 1000.0;
    assert_eq!(incident["duration_seconds"], length);
    assert!(time("detected_at") >= time("start_time"));

    let listed = serde_json::to_string(&service.endpoints.incidents().recent_incidents_24h[0]);
    let expected = [
        "component",
        "start_time",
        "end_time",
        "duration_seconds",
        "error",
        "resolved",
        "id",
        "severity",
        "detected_at",
        "failures",
        "class",
        "parent",
    ];
    assert_eq!(keys(&listed.expect("JSON")), expected);
}

#[tokio::test(start_paused = true)]
async fn incidents_are_filtered_as_asked() {
    let isolated = isolated();
    let service = Service::started().await;
    for _ in 0..3 {
        service.storage_works(false).await;
        service.storage_works(true).await;
        tokio::time::sleep(90 * SECOND).await; // so that the next is another incident
    }
    service.storage_works(false).await;
    let last = service.json("/incidents")["active_incidents"][0].clone();
    let start = last["start_time"].as_str().expect("a time").to_owned();

    let table = [
        (String::new(), 1, 4),
        ("?status=open".into(), 1, 1),
        ("?status=resolved".into(), 0, 3),
        ("?component=storage".into(), 1, 4),
        ("?component=process".into(), 0, 0),
        ("?limit=2".into(), 1, 2),
        ("?status=resolved&limit=2".into(), 0, 2),
        (format!("?since={start}"), 1, 1),
        ("?since=2000-01-01T00:00:00%2B00:00".into(), 1, 4),
    ];
    for (query, active, recent) in table {
        let body = service.json(&format!("/incidents{query}"));
        let count = |key: &str| body[key].as_array().map(Vec::len);
        assert_eq!(count("active_incidents"), Some(active), "{query}");
        assert_eq!(count("recent_incidents_24h"), Some(recent), "{query}");
    }
    let latest = &service.json("/incidents?limit=1")["recent_incidents_24h"][0];
    assert_eq!(latest["id"], last["id"], "a limit keeps the latest");

    isolated.set_wall_clock_forward(86_400 * SECOND);
    tokio::time::sleep(2 * SECOND).await;
    let count = |path: &str| service.json(path)["recent_incidents_24h"].as_array().map(Vec::len);
    assert_eq!(count("/incidents"), Some(1), "a day later only the one that lasts");
    assert_eq!(count("/incidents?since=2000-01-01T00:00:00Z"), Some(4), "since looks back");
}

#[tokio::test(start_paused = true)]
async fn the_client_decides_what_metrics_are_written_in() {
    let _isolated = isolated();
    let service = Service::started().await;
    let open = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
    let (json, plain, metrics) = (
        "application/json",
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    for (path, accept, expected) in [
        ("/metrics", "*/*", json),
        ("/metrics", "text/plain", plain),
        ("/metrics", open, metrics),
        ("/metrics/prometheus", "*/*", plain),
        ("/metrics/prometheus", "application/json", plain),
        ("/metrics/prometheus", open, metrics),
    ] {
        let response = service.ask("GET", path, &[("accept", accept)]);
        assert_eq!(response.headers()["content-type"], expected, "{path} for {accept}");
        let vary = &response.headers()["vary"];
        assert_eq!(vary, "accept, accept-encoding", "{path} for {accept}");
        assert_eq!(text(&response).ends_with("# EOF\n"), expected == metrics, "{path} {accept}");
        assert_eq!(text(&response).starts_with('{'), expected == json, "{path} for {accept}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_gzip_is_given_it_and_any_other_is_not() {
    use std::io::Read;

    let _isolated = isolated();
    let service = Service::started().await;
    for (path, accept) in [
        ("/metrics", "application/json"),
        ("/metrics", "text/plain"),
        ("/metrics", "application/openmetrics-text"),
        ("/metrics/prometheus", "*/*"),
    ] {
        let with = |encoding| {
            service.ask("GET", path, &[("accept", accept), ("accept-encoding", encoding)])
        };
        let (plain, packed) = (with("gzip;q=0"), with("br, gzip;q=0.5"));
        assert_eq!(plain.headers().get("content-encoding"), None, "{path} {accept}");
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{path} {accept}");
        assert_eq!(packed.headers()["content-type"], plain.headers()["content-type"]);
        assert_eq!(packed.headers()["content-length"], packed.body().len().to_string());
        let mut unpacked = String::new();
        let mut reader = flate2::read::GzDecoder::new(&**packed.body());
        reader.read_to_string(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, text(&plain), "{path} {accept}");
        let head = service
            .ask("HEAD", path, &[("accept", accept), ("accept-encoding", "gzip")])
            .headers()
            .clone();
        assert_eq!(&head, packed.headers(), "{path} {accept}");
    }
    let probe = service.ask("GET", "/health", &[("accept-encoding", "gzip")]);
    assert_eq!(probe.headers().get("content-encoding"), None);
}
