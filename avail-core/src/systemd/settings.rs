//! What systemd tells a service by its environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::SystemdError;

/// Whom to tell, and how often that it lives.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) address: SocketAddr,
    /// How long systemd waits for a sign of life; `None`: it waits for none of this process.
    pub(super) watchdog: Option<Duration>,
}

impl Settings {
    pub(super) fn from_environment() -> Result<Option<Self>, SystemdError> {
        Self::of(std::env::var_os, std::process::id())
    }

    /// `None` where nobody wants to be told.
    fn of(
        read: impl Fn(&'static str) -> Option<OsString>,
        pid: u32,
    ) -> Result<Option<Self>, SystemdError> {
        let given = |name| read(name).filter(|value| !value.is_empty());
        let Some(socket) = given("NOTIFY_SOCKET") else { return Ok(None) };
        let microseconds = number::<u64>("WATCHDOG_USEC", given("WATCHDOG_USEC"))?;
        let of = number::<u32>("WATCHDOG_PID", given("WATCHDOG_PID"))?;
        let is_mine = of.is_none_or(|of| of == pid);
        let watchdog = microseconds.filter(|time| *time > 0 && is_mine);
        let address = address(&socket).ok_or_else(|| SystemdError::Address {
            value: socket.to_string_lossy().into_owned(),
        })?;
        Ok(Some(Settings { address, watchdog: watchdog.map(Duration::from_micros) }))
    }
}

fn number<N: FromStr>(
    variable: &'static str,
    value: Option<OsString>,
) -> Result<Option<N>, SystemdError> {
    let Some(value) = value else { return Ok(None) };
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(SystemdError::Number { variable, value: value.to_string_lossy().into_owned() }),
    }
}

fn address(socket: &OsStr) -> Option<SocketAddr> {
    match socket.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(Path::new(socket)).ok(),
        [b'@', name @ ..] if !name.is_empty() => abstract_address(name),
        _ => None,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &[u8]) -> Option<SocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_address(_: &[u8]) -> Option<SocketAddr> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Option<Settings>, SystemdError> {
        let read = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        };
        Settings::of(read, 7)
    }

    const SOCKET: (&str, &str) = ("NOTIFY_SOCKET", "/run/systemd/notify");

    #[test]
    fn without_a_socket_nobody_is_told() {
        for variables in [&[][..], &[("NOTIFY_SOCKET", "")], &[("WATCHDOG_USEC", "1000")]] {
            assert!(settings(variables).expect("it is in order").is_none(), "{variables:?}");
        }
    }

    #[test]
    fn a_sign_of_life_is_wanted_where_the_time_is_set_and_this_process_is_meant() {
        let second = Some(Duration::from_secs(1));
        for (variables, watchdog) in [
            (&[][..], None),
            (&[("WATCHDOG_USEC", "1000000")], second),
            (&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "7")], second),
            (&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "8")], None),
            (&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "")], second),
            (&[("WATCHDOG_USEC", "0")], None),
            (&[("WATCHDOG_PID", "7")], None),
        ] {
            let settings = settings(&[&[SOCKET], variables].concat()).expect("it is in order");
            assert_eq!(settings.expect("a socket").watchdog, watchdog, "{variables:?}");
        }
    }

    #[test]
    fn a_socket_has_a_path_or_an_abstract_name() {
        let address = |value| Some(settings(&[("NOTIFY_SOCKET", value)]).ok()??.address);
        let path = address("/run/x").expect("a path");
        assert_eq!(path.as_pathname(), Some(Path::new("/run/x")));
        assert_eq!(address("@avail").is_some(), cfg!(target_os = "linux"));
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_is_allowed() {
        let long = format!("/{}", "x".repeat(200));
        for (variable, value, allowed) in [
            ("NOTIFY_SOCKET", "run/x", "an absolute path"),
            ("NOTIFY_SOCKET", "vsock:2:1234", "an absolute path"),
            ("NOTIFY_SOCKET", "@", "an absolute path"),
            ("NOTIFY_SOCKET", &long, "an absolute path"),
            ("WATCHDOG_USEC", "30s", "a whole number"),
            ("WATCHDOG_PID", "-1", "a whole number"),
        ] {
            let error = settings(&[(variable, value), SOCKET]).expect_err("not understood");
            let error = error.to_string();
            for part in [variable, value, allowed] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
