//! An attribute can't see that its function stands in an `impl`: the compiler says that there is no
//! free function of that name.

struct Pool;

impl Pool {
    #[avail::health_check]
    async fn all_answer() -> bool {
        true
    }
}

fn main() {
    let _ = Pool::all_answer();
}
