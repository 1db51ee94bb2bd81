//! Commands that need no server, as people run them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod inject;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Exit code, standard output and standard error of a command that is given `input`.
fn ferrule(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferrule"))
        .args(args)
        .env_clear()
        .env("HOME", "/no/such/home")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Nobody reads it where a file was named.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}
