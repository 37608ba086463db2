//! The service is this program started again; this process is its systemd, with a real socket.

#[cfg(target_os = "linux")]
fn main() {
    match std::env::var_os(linux::SERVICE) {
        Some(_) => linux::serve(),
        None => linux::manage(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Read, Write};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use avail_core::{AvailabilityMonitor, HealthCheck, systemd};

    /// Says that this process is the service.
    pub(crate) const SERVICE: &str = "AVAIL_TEST_SERVICE";
    /// Longer than anything here takes that goes well.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Lives until its standard input is closed. A byte there blocks its runtime until then; with an
    /// `x` it is no longer alive either.
    pub(crate) fn serve() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let check = HealthCheck::new("db", || async { true });
            let monitor = AvailabilityMonitor::builder().discover(false).check(check);
            let monitor = monitor.start().await.expect("it starts");
            let systemd = systemd::spawn(&monitor).expect("the environment is in order");
            assert!(systemd.is_active());
            let told = tokio::task::spawn_blocking(|| {
                let mut word = Vec::new();
                std::io::stdin().take(1).read_to_end(&mut word).map(|_| word)
            });
            let word = told.await.expect("it ends").expect("it can be read");
            if !word.is_empty() {
                if word == b"x" {
                    monitor.fatal("it was told so");
                }
                let _ = std::io::stdin().read_to_end(&mut Vec::new());
            }
            monitor.stop().await;
            systemd.join();
        });
    }

    fn start(socket: &str, pid: Option<u32>) -> Child {
        let mut command = Command::new(std::env::current_exe().expect("it has a path"));
        command.env(SERVICE, "1").env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "200000");
        if let Some(pid) = pid {
            command.env("WATCHDOG_PID", pid.to_string());
        }
        command.stdin(Stdio::piped()).spawn().expect("it starts")
    }

    fn lines(socket: &UnixDatagram) -> Vec<String> {
        let mut message = [0; 4_096];
        let length = socket.recv(&mut message).expect("something is told");
        let message = String::from_utf8(message[..length].to_vec()).expect("UTF-8");
        message.lines().map(str::to_owned).collect()
    }

    /// Everything up to that line, which comes.
    fn until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
        let mut told = Vec::new();
        while !told.iter().any(|line| line == wanted) {
            told.extend(lines(socket));
        }
        told
    }

    fn end(mut service: Child) {
        drop(service.stdin.take());
        assert!(service.wait().expect("it ends").success());
    }

    fn count(told: &[String], wanted: &str) -> usize {
        told.iter().filter(|line| *line == wanted).count()
    }

    fn is_told_from_start_to_stop(socket: &UnixDatagram, name: &str) {
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        let service = start(name, None);
        let mut told = until(socket, "READY=1");
        for _ in 0..3 {
            told.extend(until(socket, "WATCHDOG=1"));
        }
        end(service);
        told.extend(until(socket, "STATUS=stopped"));
        assert!(told.contains(&"STATUS=healthy".into()), "{told:?}");
        assert_eq!((count(&told, "READY=1"), count(&told, "STOPPING=1")), (1, 1), "{told:?}");
        println!("ok: {name}");
    }

    fn is_not_fed_when_it_is_not_alive(socket: &UnixDatagram, name: &str) {
        let mut service = start(name, None);
        until(socket, "READY=1");
        let mut input = service.stdin.take().expect("it is piped");
        input.write_all(b"x").expect("it reads");
        until(socket, "STATUS=healthy, not alive");
        drop(input);
        assert!(service.wait().expect("it ends").success());
        let told = until(socket, "STATUS=stopped");
        assert_eq!(count(&told, "WATCHDOG=1"), 0, "{told:?}");
        println!("ok: not alive");
    }

    /// Takes as long as a heartbeat may be old.
    fn is_not_fed_while_its_runtime_is_blocked(socket: &UnixDatagram, name: &str) {
        let mut service = start(name, None);
        until(socket, "READY=1");
        let (mut input, begun) = (service.stdin.take().expect("it is piped"), Instant::now());
        input.write_all(b"b").expect("it reads");
        let told = until(socket, "STATUS=healthy, not alive");
        let after = begun.elapsed().as_secs();
        assert!((28..35).contains(&after), "not alive after {after} s");
        assert!(count(&told, "WATCHDOG=1") > 100, "fed before that: {told:?}");
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time");
        assert!(socket.recv(&mut [0; 64]).is_err(), "nothing more is told");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        drop(input);
        assert!(service.wait().expect("it ends").success());
        until(socket, "STATUS=stopped");
        println!("ok: a runtime that is blocked");
    }

    fn leaves_the_watchdog_of_another_alone(socket: &UnixDatagram, name: &str) {
        let service = start(name, Some(1));
        let mut told = until(socket, "READY=1");
        end(service);
        told.extend(until(socket, "STATUS=stopped"));
        assert_eq!(count(&told, "WATCHDOG=1"), 0, "{told:?}");
        println!("ok: the watchdog of another");
    }

    pub(crate) fn manage() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let path_name = path.to_str().expect("UTF-8");
        let socket = UnixDatagram::bind(&path).expect("it is free");
        is_told_from_start_to_stop(&socket, path_name);
        is_not_fed_when_it_is_not_alive(&socket, path_name);
        leaves_the_watchdog_of_another_alone(&socket, path_name);
        if std::env::var_os("AVAIL_SOAK").is_some() {
            is_not_fed_while_its_runtime_is_blocked(&socket, path_name);
        }

        let name = format!("avail-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("it is free");
        is_told_from_start_to_stop(&socket, &format!("@{name}"));
    }
}
