//! Whether the kernel can start a file: a binary of Linux, or a script whose first line names its interpreter.
//!
//! Agent 2.x starts it without a shell's help, so that a file without `#!` is an "Exec format error" for it. Ruby, under 1.8, has
//! /bin/sh try it.

/// Why a file cannot be started, and what to do.
pub(super) fn check(bytes: &[u8]) -> Result<(), (&'static str, &'static str)> {
    if bytes.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let Some(rest) = bytes.strip_prefix(b"#!") else {
        return Err(if bytes.starts_with("\u{feff}#!".as_bytes()) {
            (
                "begins with a byte order mark before '#!': CodeDeploy's agent 2.x cannot start it",
                "save it without one",
            )
        } else {
            (
                "has no '#!' line: CodeDeploy's agent 2.x cannot start it",
                "begin it with '#!/bin/sh', for example",
            )
        });
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let interpreter = line.trim_ascii();
    if line.ends_with(b"\r") {
        Err((
            "has lines that end as on Windows, so neither of CodeDeploy's agents can start it",
            "save it with lines that end in LF alone",
        ))
    } else if interpreter.is_empty() {
        Err((
            "names no interpreter behind '#!': CodeDeploy's agent 2.x cannot start it",
            "write '#!/bin/sh', for example",
        ))
    } else if !interpreter.starts_with(b"/") {
        Err((
            "names its interpreter without its folder, so neither of CodeDeploy's agents can start it",
            "write '#!/bin/sh' or '#!/usr/bin/env NAME', for example",
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_file_is_started_by_its_first_line() {
        for good in [&b"#!/bin/sh\n"[..], b"#! /bin/sh -e\nexit\r\n", b"#!/usr/bin/env bash", b"\x7fELF\x02"]
        {
            assert_eq!(check(good), Ok(()), "{}", good.escape_ascii());
        }
        for (bad, why) in [
            (&b"#!/bin/sh\r\nexit 0\r\n"[..], "neither of CodeDeploy's agents"),
            (b"#!/usr/bin/env bash\r", "neither of CodeDeploy's agents"),
            (b"\xef\xbb\xbf#!/bin/sh\n", "byte order mark"),
            (b"echo hello\n", "no '#!' line"),
            (b"\n#!/bin/sh\n", "no '#!' line"),
            (b"", "no '#!' line"),
            (b"#!\n", "names no interpreter"),
            (b"#!bash\n", "without its folder"),
        ] {
            assert!(check(bad).is_err_and(|(what, _)| what.contains(why)), "{}", bad.escape_ascii());
        }
    }
}
