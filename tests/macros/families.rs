//! `key = …`: a breaker for each tenant.

use std::fmt::Display;
use std::future::Future;
use std::net::IpAddr;

use avail::{AvailabilityMonitor, CircuitBreakerRegistry, CircuitState, circuit_breaker, testing};

use super::breaker::{Error, breaker};

struct Request {
    tenant: String,
    fails: bool,
}

#[circuit_breaker(name = "families::tenants", key = &request.tenant, failure_threshold = 1)]
async fn handle(request: Request) -> Result<String, Error> {
    tokio::task::yield_now().await;
    if request.fails { Err(Error::Broken) } else { Ok(request.tenant) }
}

fn request(tenant: &str, fails: bool) -> Request {
    Request { tenant: tenant.to_owned(), fails }
}

#[tokio::test]
async fn a_tenant_that_fails_is_cut_off_alone() {
    let isolated = testing::isolated();
    assert_eq!(handle(request("acme", true)).await, Err(Error::Broken));
    assert!(matches!(handle(request("acme", false)).await, Err(Error::Rejected(_))));
    let other = isolated.spawn(handle(request("globex", false)));
    assert_eq!(other.await.expect("joined").as_deref(), Ok("globex"));
    assert_eq!(breaker("families::tenants[acme]").state(), CircuitState::Open);
    assert_eq!(breaker("families::tenants[globex]").state(), CircuitState::Closed);
}

#[circuit_breaker(name = "families::shards", key = id % 4)]
fn shard(id: u64) -> Result<u64, Error> {
    Ok(id)
}

#[circuit_breaker(name = "families::hosts", key = host)]
fn host(host: IpAddr) -> Result<(), Error> {
    let _ = host;
    Ok(())
}

#[circuit_breaker(name = "families::names", key = name)]
fn named(name: &str) -> Result<(), Error> {
    let _ = name;
    Ok(())
}

#[circuit_breaker(name = "families::names", key = format!("{region}/{id}"))]
fn in_parts(region: &str, id: u8) -> Result<(), Error> {
    let _ = (region, id);
    Ok(())
}

#[circuit_breaker(name = "families::names", key = value)]
fn of_any_type<T: Display>(value: T) -> Result<(), Error> {
    drop(value);
    Ok(())
}

#[test]
fn a_key_is_anything_that_can_be_shown() {
    let _isolated = testing::isolated();
    assert_eq!((shard(5), shard(9), shard(6)), (Ok(5), Ok(9), Ok(6)));
    host([10, 0, 0, 1].into()).expect("closed");
    named("a").expect("closed");
    in_parts("eu", 7).expect("closed");
    of_any_type(1.5).expect("closed");
    let names: Vec<_> = CircuitBreakerRegistry::global()
        .iter()
        .map(|breaker| breaker.name().to_owned())
        .filter(|name| name.starts_with("families::"))
        .collect();
    let expected =
        ["hosts[10.0.0.1]", "names[1.5]", "names[a]", "names[eu/7]", "shards[1]", "shards[2]"];
    assert_eq!(names, expected.map(|name| format!("families::{name}")));
    assert_eq!(breaker("families::shards[1]").metrics().calls.success, 2);
}

#[circuit_breaker(name = "families::futures", key = tenant)]
fn future(tenant: String) -> impl Future<Output = Result<usize, Error>> + Send {
    async move { Ok(tenant.len()) }
}

#[async_trait::async_trait]
trait Serve {
    async fn serve(&self, tenant: String) -> Result<usize, Error>;
}

#[async_trait::async_trait]
impl Serve for u32 {
    #[circuit_breaker(name = "families::futures", key = format!("{tenant}{self}"))]
    async fn serve(&self, tenant: String) -> Result<usize, Error> {
        Ok(tenant.len())
    }
}

#[tokio::test]
async fn a_body_that_makes_a_future_may_take_what_the_key_is_made_of() {
    let isolated = testing::isolated();
    let spawned = isolated.spawn(future("acme".into()));
    assert_eq!((spawned.await.expect("joined"), 1.serve("acme".into()).await), (Ok(4), Ok(4)));
    for key in ["acme", "acme1"] {
        assert_eq!(breaker(&format!("families::futures[{key}]")).metrics().calls.success, 1);
    }
}

#[circuit_breaker(name = "families::few", key = id, max_keys = 2, failure_threshold = 1, critical)]
fn few(id: u32, fails: bool) -> Result<u32, Error> {
    if fails { Err(Error::Broken) } else { Ok(id) }
}

#[circuit_breaker(name = "families::few", key = id, max_keys = 2, failure_threshold = 1, critical)]
fn few_others(id: u32) -> Result<u32, Error> {
    Ok(id)
}

#[test]
fn only_clean_members_make_room_and_what_finds_none_shares_one() {
    let _isolated = testing::isolated();
    for id in 0..100 {
        assert_eq!(few(id, false), Ok(id));
    }
    let of_family = || {
        let all = CircuitBreakerRegistry::global().iter();
        all.filter(|breaker| breaker.name().starts_with("families::few[")).count()
    };
    assert_eq!(of_family(), 2);
    assert_eq!((few(1, true), few(2, true)), (Err(Error::Broken), Err(Error::Broken)));
    assert_eq!(few(3, true), Err(Error::Broken));
    assert!(
        matches!(few(4, false), Err(Error::Rejected(error)) if error.name() == "families::few[*]")
    );
    assert_eq!(of_family(), 3);
}

#[test]
fn functions_that_spell_the_same_share_a_family() {
    let _isolated = testing::isolated();
    assert_eq!(few(7, true), Err(Error::Broken));
    assert!(matches!(few_others(7), Err(Error::Rejected(_))));
    assert_eq!(few_others(8), Ok(8));
}

#[tokio::test(start_paused = true)]
async fn the_component_is_the_family_and_is_there_from_the_start() {
    let _isolated = testing::isolated();
    let monitor = AvailabilityMonitor::builder().discover(false).start().await.expect("starts");
    let names = || -> Vec<String> {
        let status = monitor.status();
        let all = status.components.iter().map(|component| component.name.to_string());
        all.filter(|name| name.starts_with("families::few")).collect()
    };
    assert_eq!(names(), ["families::few"]);
    assert_eq!(few(1, true), Err(Error::Broken));
    tokio::task::yield_now().await;
    assert_eq!(names(), ["families::few"]);
    let status = monitor.status();
    let few = status.component("families::few").expect("it is known");
    assert!(!few.status.is_up(), "{few:?}");
}

#[test]
fn outside_of_isolation_the_family_is_found_once_and_kept() {
    #[circuit_breaker(name = "families::process", key = id)]
    fn in_process(id: &str) -> Result<(), Error> {
        let _ = id;
        Ok(())
    }
    in_process("a").expect("closed");
    in_process("a").expect("closed");
    assert_eq!(breaker("families::process[a]").metrics().calls.success, 2);
}
