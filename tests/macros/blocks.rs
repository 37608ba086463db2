//! The attribute on an `impl` block.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use avail::{CircuitBreakerRegistry, CircuitState, circuit_breaker, testing};

use super::breaker::{Error, breaker};

type BlockResult<T> = Result<T, Error>;

/// The names of the breakers that begin so.
fn names(start: &str) -> Vec<String> {
    let all = CircuitBreakerRegistry::global().iter().map(|breaker| breaker.name().to_owned());
    all.filter(|name| name.starts_with(start)).collect()
}

fn ends(name: &str) -> (u64, u64) {
    let calls = breaker(name).metrics().calls;
    (calls.success, calls.failure)
}

#[derive(Default)]
struct Blocks<T> {
    row: Option<T>,
}

#[circuit_breaker(failure_threshold = 1, timeout = "10s")]
impl<T: Clone + Send + Sync> Blocks<T>
where
    T: PartialEq,
{
    const EMPTY: Result<(), ()> = Err(());

    fn new(row: Option<T>) -> Self {
        Blocks { row }
    }

    /// A future of a result.
    async fn row(&self) -> BlockResult<T> {
        tokio::task::yield_now().await;
        self.row.clone().ok_or(Error::Broken)
    }

    fn row_mut(&mut self) -> Result<&mut T, Error> {
        self.row.as_mut().ok_or(Error::Broken)
    }

    #[inline]
    fn lazily(&self) -> impl Future<Output = BlockResult<T>> + Send + '_ {
        self.row()
    }

    fn boxed(self: Arc<Self>) -> Pin<Box<dyn Future<Output = BlockResult<T>> + Send>>
    where
        T: 'static,
    {
        Box::pin(async move { self.row().await })
    }

    fn size() -> io::Result<usize> {
        Ok(size_of::<T>())
    }

    fn is_empty(&self) -> bool {
        self.row.is_none()
    }

    #[avail(skip)]
    fn unguarded(&self) -> Result<T, Error> {
        self.row.clone().ok_or(Error::Broken)
    }

    #[circuit_breaker(name = "blocks::own", failure_threshold = 7)]
    fn own(&self) -> Result<T, Error> {
        self.unguarded()
    }

    #[cfg(not(test))]
    fn absent(&self) -> Result<T, Error> {
        self.unguarded()
    }
}

#[tokio::test]
async fn each_method_that_returns_a_result_has_a_breaker_of_its_own() {
    let _isolated = testing::isolated();
    let expected =
        ["boxed", "lazily", "row", "row_mut", "size"].map(|name| format!("Blocks::{name}"));
    assert_eq!(names("Blocks::"), expected);
    assert_eq!(Blocks::<u32>::EMPTY, Err(()));

    let none = Blocks::<u32>::new(None);
    assert_eq!(none.row().await, Err(Error::Broken));
    assert!(matches!(none.row().await, Err(Error::Rejected(_))));
    assert_eq!(breaker("Blocks::row").state(), CircuitState::Open);
    assert_eq!((none.unguarded(), none.own()), (Err(Error::Broken), Err(Error::Broken)));
    assert!(none.is_empty());

    let mut some = Blocks::new(Some(1));
    assert_eq!(some.row_mut(), Ok(&mut 1));
    assert_eq!(Blocks::<u32>::size().expect("closed"), 4);
    let through_row = (some.lazily().await, Arc::new(some).boxed().await);
    assert!(matches!(through_row, (Err(Error::Rejected(_)), Err(Error::Rejected(_)))));
    assert_eq!((ends("Blocks::row_mut"), ends("Blocks::size")), ((1, 0), (1, 0)));
    assert_eq!(breaker("blocks::own").config().failure_threshold, Some(7));
    assert_eq!(breaker("Blocks::size").config().failure_threshold, Some(1));
}

trait Load {
    fn load(&self, id: u32) -> Result<u32, Error>;
    fn load_later(&self, id: u32) -> impl Future<Output = Result<u32, Error>> + Send;
}

#[circuit_breaker(prefix = "blocks", fallback = Ok(0))]
impl Load for Blocks<u32> {
    fn load(&self, id: u32) -> Result<u32, Error> {
        self.row.filter(|row| *row == id).ok_or(Error::Broken)
    }

    async fn load_later(&self, id: u32) -> Result<u32, Error> {
        tokio::task::yield_now().await;
        self.load(id)
    }
}

#[tokio::test]
async fn the_implementation_of_a_trait_under_a_prefix() {
    let isolated = testing::isolated();
    assert_eq!(names("blocks::Blocks"), ["blocks::Blocks::load", "blocks::Blocks::load_later"]);
    let blocks = Blocks::new(Some(1));
    assert_eq!((blocks.load(1), blocks.load(2)), (Ok(1), Err(Error::Broken)));
    let spawned = isolated.spawn(async move { blocks.load_later(1).await });
    assert_eq!(spawned.await.expect("joined"), Ok(1));
    breaker("blocks::Blocks::load").trip();
    assert_eq!(Blocks::new(Some(1)).load(1), Ok(0));
    assert_eq!(ends("blocks::Blocks::load_later"), (1, 0));
}

#[async_trait::async_trait]
trait Fetch: Send + Sync {
    async fn fetch(&self, id: &str) -> BlockResult<String>;
    async fn count(&self) -> usize;
}

struct Above;
struct Below;

#[async_trait::async_trait]
#[circuit_breaker]
impl Fetch for Above {
    async fn fetch(&self, id: &str) -> BlockResult<String> {
        tokio::task::yield_now().await;
        if id.is_empty() { Err(Error::Broken) } else { Ok(id.to_owned()) }
    }

    async fn count(&self) -> usize {
        1
    }
}

#[circuit_breaker(call_timeout = "1s", fallback = Ok(format!("no {id}")))]
#[async_trait::async_trait]
impl Fetch for Below {
    async fn fetch(&self, id: &str) -> BlockResult<String> {
        tokio::task::yield_now().await;
        if id.is_empty() {
            std::future::pending::<()>().await;
        }
        Ok(id.to_owned())
    }

    async fn count(&self) -> usize {
        2
    }
}

#[tokio::test(start_paused = true)]
async fn async_trait_above_and_below() {
    let _isolated = testing::isolated();
    let all: [Box<dyn Fetch>; 2] = [Box::new(Above), Box::new(Below)];
    assert_eq!(all[0].count().await + all[1].count().await, 3);
    for one in &all {
        assert_eq!(one.fetch("a").await.as_deref(), Ok("a"));
    }
    assert_eq!(all[0].fetch("").await, Err(Error::Broken));
    assert_eq!(all[1].fetch("").await.as_deref(), Ok("no "));
    assert_eq!(
        (names("Above::"), names("Below::")),
        (vec!["Above::fetch".into()], vec!["Below::fetch".into()])
    );
    assert_eq!(ends("Above::fetch"), (1, 1));
    assert_eq!(breaker("Below::fetch").metrics().calls.timeout, 1);
    breaker("Above::fetch").trip();
    assert!(matches!(all[0].fetch("a").await, Err(Error::Rejected(_))));
}

macro_rules! block {
    ($ty:ty { $($vis:vis fn $name:ident(&$self:ident) -> $out:ty $body:block)* }) => {
        #[circuit_breaker(prefix = "by_macro")]
        impl $ty {
            $($vis fn $name(&$self) -> $out $body)*
        }
    };
}

block!(Above {
    pub(crate) fn first(&self) -> BlockResult<u32> { Ok(1) }
    fn second(&self) -> BlockResult<u32> { Err(Error::Broken) }
    fn third(&self) -> u32 { 3 }
});

#[test]
fn inside_macro_rules() {
    let _isolated = testing::isolated();
    assert_eq!((Above.first(), Above.second(), Above.third()), (Ok(1), Err(Error::Broken), 3));
    assert_eq!(names("by_macro::"), ["by_macro::Above::first", "by_macro::Above::second"]);
}

struct Twice;

#[circuit_breaker]
impl Twice {
    fn first() -> Result<u32, Error> {
        Ok(1)
    }
}

mod elsewhere {
    use super::{Error, circuit_breaker};

    pub(super) struct Twice;

    #[circuit_breaker]
    impl Twice {
        pub(super) fn first() -> Result<u32, Error> {
            Err(Error::Broken)
        }
    }
}

#[test]
fn names_that_would_collide_are_not_shared() {
    let _isolated = testing::isolated();
    assert_eq!((Twice::first(), elsewhere::Twice::first()), (Ok(1), Err(Error::Broken)));
    assert_eq!(names("Twice::"), ["Twice::first", "Twice::first#2"]);
    assert_eq!((ends("Twice::first"), ends("Twice::first#2")), ((1, 0), (0, 1)));
}
