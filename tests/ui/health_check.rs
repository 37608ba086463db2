use avail::health_check;

#[health_check(interval = "5s", timeout = "5s")]
fn as_long_as_the_interval() {}

#[health_check(probe = "alive")]
fn unknown_probe() {}

#[health_check(depends_on = "postgres", tags = [db, 1])]
fn no_lists() {}

#[health_check(intervall = "5s")]
fn misspelt() {}

#[health_check(slo = 100)]
fn never_down() {}

#[health_check(slo = 99.9, slo_window = "0s")]
fn at_no_time() {}

#[health_check]
fn with_arguments(pool: &str, size: u32) {
    let _ = (pool, size);
}

#[health_check]
fn generic<T: Default>() -> bool {
    let _ = T::default();
    true
}

#[health_check]
unsafe fn not_safe() {}

#[health_check]
const fn at_compile_time() {}

struct Pool;

impl Pool {
    #[health_check]
    async fn answers(&self) -> bool {
        true
    }
}

#[health_check]
fn wrong_type() -> Option<u32> {
    None
}

#[health_check]
async fn error_without_display() -> Result<(), Pool> {
    Ok(())
}

#[health_check]
async fn not_send() {
    let shared = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {
    as_long_as_the_interval();
    unknown_probe();
    no_lists();
    misspelt();
    never_down();
    at_no_time();
    with_arguments("db", 1);
    let _ = generic::<u32>();
    let _ = Pool.answers();
}
