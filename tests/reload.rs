//! SIGHUP, sent to a process that has a configuration file and an environment of its own.
//!
//! Its main function is its own: it starts itself again, to send it signals.

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() -> unix::Result<()> {
    unix::main()
}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead, BufReader, Lines};
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Child, ChildStdout, Command, Stdio};

    use avail::{AvailabilityMonitor, CircuitBreakerRegistry, Event};

    pub(super) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    const SIGHUP: i32 = 1;

    #[avail::circuit_breaker(name = "storage", failure_threshold = 3, timeout = "10m")]
    async fn fetch() -> std::io::Result<()> {
        Err(std::io::Error::other("refused"))
    }

    #[avail::health_check(name = "storage", interval = "1h")]
    async fn storage_answers() {}

    pub(super) fn main() -> Result<()> {
        let arguments: Vec<_> = std::env::args().collect();
        match &arguments[1..] {
            [child, file, on_sighup] if child == "child" => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()?;
                runtime.block_on(serve(Path::new(file), on_sighup == "true"))
            }
            _ => {
                a_signal_reads_the_settings_anew_and_a_bad_file_is_refused()?;
                println!("a signal reads the settings anew, and a bad file is refused");
                if is_ignored_here() {
                    println!("SKIPPED: SIGHUP is ignored by all that is started here, as by nohup");
                    return Ok(());
                }
                without_being_asked_no_signal_is_taken()?;
                println!("without being asked no signal is taken");
                Ok(())
            }
        }
    }

    /// Opens the breaker, and says what it hears of the settings until it is killed.
    async fn serve(file: &Path, on_sighup: bool) -> Result<()> {
        let builder = AvailabilityMonitor::builder().config_file(file);
        let monitor = builder.reload_on_sighup(on_sighup).start().await?;
        let mut events = monitor.subscribe();
        for _ in 0..5 {
            let _ = fetch().await;
        }
        say(&format!("ready, pid {}", std::process::id()))?;
        loop {
            match events.recv().await? {
                Event::Reloaded(reload) => {
                    let changed = reload.changed.iter().map(|change| format!("; {change}"));
                    say(&format!("reloaded{}", changed.collect::<String>()))?;
                }
                Event::ReloadRefused { error, .. } => say(&format!("refused; {error}"))?,
                _ => {}
            }
        }
    }

    /// What it says, and how its breaker is.
    fn say(what: &str) -> Result<()> {
        let breaker = CircuitBreakerRegistry::global().get("storage").ok_or("it is annotated")?;
        let (config, seen) = (breaker.config(), breaker.metrics());
        let open = seen.retry_after_seconds.ok_or("it is open")?;
        println!(
            "{what} | {} after {:?} failures for {:?}, open for {} min yet, opened {}",
            seen.state,
            config.failure_threshold,
            config.timeout,
            (open / 60.0).ceil(),
            seen.transitions.iter().map(|one| one.count).sum::<u64>(),
        );
        Ok(())
    }

    struct Process {
        child: Child,
        lines: Lines<BufReader<ChildStdout>>,
    }

    impl Process {
        fn start(file: &Path, on_sighup: bool) -> Result<Self> {
            let mut child = Command::new(std::env::current_exe()?)
                .arg("child")
                .arg(file)
                .arg(on_sighup.to_string())
                .env("AVAIL_DEFAULTS_BREAKER__RESET_TIMEOUT", "20m")
                .env("AVAIL_BREAKER_STORAGE__FAILURE_THRESHOLD", "4")
                .stdout(Stdio::piped())
                .spawn()?;
            let output = child.stdout.take().ok_or("it was piped")?;
            Ok(Process { child, lines: BufReader::new(output).lines() })
        }

        fn hears(&mut self) -> Result<String> {
            Ok(self.lines.next().ok_or("it has ended")??)
        }

        fn hang_up(&self) -> Result<()> {
            let status =
                Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status()?;
            if status.success() { Ok(()) } else { Err("the signal was not sent".into()) }
        }
    }

    impl Drop for Process {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// What ignores a signal hands that on to what it starts. Told by Linux alone.
    fn is_ignored_here() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|signals| u64::from_str_radix(signals.trim(), 16).ok());
        ignored.is_some_and(|signals| signals >> (SIGHUP - 1) & 1 == 1)
    }

    fn a_signal_reads_the_settings_anew_and_a_bad_file_is_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("avail.toml");
        std::fs::write(&file, "[breaker.storage]\nfailure_threshold = 2\ntimeout = \"5m\"\n")?;
        let mut process = Process::start(&file, true)?;
        let ready = format!("ready, pid {}", process.child.id());
        let state = "open after Some(4) failures for 300s, open for 5 min yet, opened 1";
        assert_eq!(process.hears()?, format!("{ready} | {state}"));

        std::fs::write(&file, "[breaker.storage]\ntimeout = \"soon\"\n")?;
        process.hang_up()?;
        let refused = process.hears()?;
        let place = format!("refused; {}:2:11: `timeout`: expected a duration", file.display());
        assert!(refused.starts_with(&place), "{refused}");
        assert!(refused.ends_with(state), "nothing has changed: {refused}");

        std::fs::write(&file, "[breaker.storage]\ntimeout = 30\n[check.storage]\ninterval = 7\n")?;
        process.hang_up()?;
        assert_eq!(
            process.hears()?,
            "reloaded; circuit breaker `storage`: timeout 5m to 30s; health check `storage`: \
             interval 1h to 7s | open after Some(4) failures for 30s, open for 5 min yet, opened 1"
        );
        // A second signal, and a third: it goes on listening.
        std::fs::write(&file, "")?;
        for expected in ["reloaded; circuit breaker `storage`: timeout 30s to 10m", "reloaded |"] {
            process.hang_up()?;
            let heard = process.hears()?;
            assert!(heard.starts_with(expected), "{heard}");
        }
        Ok(())
    }

    fn without_being_asked_no_signal_is_taken() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("avail.toml");
        std::fs::write(&file, "")?;
        let mut process = Process::start(&file, false)?;
        process.hears()?;
        process.hang_up()?;
        let status = process.child.wait()?;
        assert_eq!(status.signal(), Some(SIGHUP), "the system's own answer to it");
        Ok(())
    }
}
