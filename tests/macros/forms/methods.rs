//! Free and associated functions, `self` in every form, functions in traits.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use avail::circuit_breaker;

use super::{Act, Answer, act, act_now, assert_ends, assert_ends_now};

#[circuit_breaker(name = "methods::free")]
async fn free(how: Act) -> Answer<u32> {
    act(how).await
}

#[circuit_breaker(name = "methods::free_now")]
fn free_now(how: Act) -> Answer<u32> {
    act_now(how)
}

#[tokio::test]
async fn free_functions() {
    assert_ends("methods::free", async |how| free(how).await.map(drop)).await;
    assert_ends_now("methods::free_now", |how| free_now(how).map(drop));
}

#[derive(Clone, Default)]
struct Store {
    sum: u32,
}

impl Store {
    #[circuit_breaker(name = "methods::associated")]
    async fn associated(how: Act) -> Answer<Self> {
        Ok(Store { sum: act(how).await? })
    }

    #[circuit_breaker(name = "methods::associated_now")]
    fn associated_now(how: Act) -> Answer<Self> {
        act_now(how).map(|sum| Store { sum })
    }

    #[circuit_breaker(name = "methods::owned")]
    async fn owned(mut self, how: Act) -> Answer<Self> {
        self.sum += act(how).await?;
        Ok(self)
    }

    #[circuit_breaker(name = "methods::owned_now")]
    fn owned_now(mut self, how: Act) -> Answer<Self> {
        self.sum += act_now(how)?;
        Ok(self)
    }

    #[circuit_breaker(name = "methods::by_ref")]
    async fn by_ref(&self, how: Act) -> Answer<&u32> {
        act(how).await?;
        Ok(&self.sum)
    }

    #[circuit_breaker(name = "methods::by_ref_now")]
    fn by_ref_now(&self, how: Act) -> Answer<&u32> {
        act_now(how)?;
        Ok(&self.sum)
    }

    #[circuit_breaker(name = "methods::by_mut")]
    async fn by_mut(&mut self, how: Act) -> Answer<&mut u32> {
        self.sum += act(how).await?;
        Ok(&mut self.sum)
    }

    #[circuit_breaker(name = "methods::by_mut_now")]
    fn by_mut_now(&mut self, how: Act) -> Answer<&mut u32> {
        self.sum += act_now(how)?;
        Ok(&mut self.sum)
    }

    #[circuit_breaker(name = "methods::by_arc")]
    async fn by_arc(self: Arc<Self>, how: Act) -> Answer<u32> {
        act(how).await.map(|one| one + self.sum)
    }

    #[circuit_breaker(name = "methods::by_rc")]
    async fn by_rc(self: &Rc<Self>, how: Act) -> Answer<u32> {
        act(how).await.map(|one| one + self.sum)
    }

    #[circuit_breaker(name = "methods::pinned")]
    async fn pinned(mut self: Pin<&mut Self>, how: Act) -> Answer<u32> {
        self.sum += act(how).await?;
        Ok(self.sum)
    }

    #[circuit_breaker(name = "methods::boxed_now")]
    fn boxed_now(self: Box<Self>, how: Act) -> Answer<Box<Self>> {
        act_now(how).map(|_| self)
    }
}

#[tokio::test]
async fn associated_functions() {
    assert_ends("methods::associated", async |how| Store::associated(how).await.map(drop)).await;
    assert_ends_now("methods::associated_now", |how| Store::associated_now(how).map(drop));
}

#[tokio::test]
async fn self_by_value_and_by_reference() {
    let store = Store::default();
    assert_ends("methods::owned", async |how| store.clone().owned(how).await.map(drop)).await;
    assert_ends_now("methods::owned_now", |how| store.clone().owned_now(how).map(drop));
    assert_ends("methods::by_ref", async |how| store.by_ref(how).await.map(drop)).await;
    assert_ends_now("methods::by_ref_now", |how| store.by_ref_now(how).map(drop));
    let by_mut = async |how| store.clone().by_mut(how).await.map(|sum| *sum += 1);
    assert_ends("methods::by_mut", by_mut).await;
    assert_ends_now("methods::by_mut_now", |how| {
        store.clone().by_mut_now(how).map(|sum| *sum += 1)
    });
}

#[tokio::test]
async fn self_behind_a_pointer() {
    let (shared, counted) = (Arc::new(Store::default()), Rc::new(Store::default()));
    assert_ends("methods::by_arc", async |how| shared.clone().by_arc(how).await.map(drop)).await;
    assert_ends("methods::by_rc", async |how| counted.by_rc(how).await.map(drop)).await;
    let pinned = async |how| Pin::new(&mut Store::default()).pinned(how).await.map(drop);
    assert_ends("methods::pinned", pinned).await;
    let boxed = |how| Box::new(Store::default()).boxed_now(how).map(drop);
    assert_ends_now("methods::boxed_now", boxed);
}

trait Fetch {
    async fn fetch(&self, how: Act) -> Answer<u32>;

    #[circuit_breaker(name = "methods::provided")]
    async fn provided(&self, how: Act) -> Answer<u32> {
        self.fetch(how).await
    }

    #[circuit_breaker(name = "methods::provided_now")]
    fn provided_now(&self, how: Act) -> Answer<u32> {
        act_now(how)
    }
}

impl Fetch for Store {
    #[circuit_breaker(name = "methods::native")]
    async fn fetch(&self, how: Act) -> Answer<u32> {
        act(how).await
    }
}

#[tokio::test]
async fn native_async_functions_in_traits() {
    let store = Store::default();
    assert_ends("methods::native", async |how| store.fetch(how).await.map(drop)).await;
    assert_ends("methods::provided", async |how| store.provided(how).await.map(drop)).await;
    assert_ends_now("methods::provided_now", |how| store.provided_now(how).map(drop));
}

#[async_trait::async_trait]
trait Dynamic: Send + Sync {
    async fn load(&self, how: Act) -> Answer<u32>;

    #[circuit_breaker(name = "methods::dynamic_provided")]
    async fn load_twice(&self, how: Act) -> Answer<u32> {
        Ok(self.load(Act::Succeed).await? + self.load(how).await?)
    }
}

/// The attribute on the method sees what `async_trait` has made of it.
struct Under;

#[async_trait::async_trait]
impl Dynamic for Under {
    #[circuit_breaker(name = "methods::under")]
    async fn load(&self, how: Act) -> Answer<u32> {
        act(how).await
    }
}

/// The attribute on the block comes first.
struct Over;

#[circuit_breaker(prefix = "methods")]
#[async_trait::async_trait]
impl Dynamic for Over {
    async fn load(&self, how: Act) -> Result<u32, super::Error> {
        act(how).await
    }
}

#[tokio::test]
async fn async_trait_in_both_orders() {
    let (under, over): (Box<dyn Dynamic>, Box<dyn Dynamic>) = (Box::new(Under), Box::new(Over));
    assert_ends("methods::under", async |how| under.load(how).await.map(drop)).await;
    assert_ends("methods::Over::load", async |how| over.load(how).await.map(drop)).await;
    let twice = async |how| over.load_twice(how).await.map(drop);
    assert_ends("methods::dynamic_provided", twice).await;
}
