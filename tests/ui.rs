//! The compiler's messages for mistakes in attributes. They differ from one compiler to the next, so
//! they are compared on one only: the one that `tests/ui/TOOLCHAIN` names.
//!
//! After a change that is meant: `TRYBUILD=overwrite cargo test --all-features --test ui`.
#![cfg(feature = "macros")]

use std::process::Command;

const TOOLCHAIN: &str = include_str!("ui/TOOLCHAIN");

#[test]
fn mistakes_are_reported_where_they_are_and_once() {
    let expected = TOOLCHAIN.trim();
    let found = compiler_version();
    if found != expected {
        let skipped = format!(
            "SKIPPED: the compiler's messages are compared on rustc {expected} only, and this is \
             {found}"
        );
        // Not `eprintln!`: what a test that passes prints is not shown.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("{skipped}\n").as_bytes());
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}

/// As in `rustc 1.95.0 (59807616e 2026-04-14)`.
fn compiler_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("a compiler built this");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().nth(1).unwrap_or_default().to_owned()
}
