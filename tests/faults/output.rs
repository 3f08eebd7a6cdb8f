//! Output: nobody who reads it, and what does not belong into it.

use std::process::Stdio;

use anyhow::{Result, ensure};
use insta::assert_snapshot;
use world::Bundle;

use crate::case::Case;

const KIND: &str = "output";

#[test]
fn a_container_that_prints_no_text() -> Result<()> {
    let case = Case::of(KIND, "the container prints invalid UTF-8 and a line of 1 MB")?;
    case.world.push("noise", "noise")?;
    let told = case.put_back(&Bundle::of("noise"))?;
    // Now and then Docker 28 gives a rest of the long line behind what was written after it.
    let text: Vec<String> =
        told.to_string().lines().filter(|line| !line.starts_with("  | xxx")).map(str::to_owned).collect();
    assert_snapshot!(text.join("\n"), @r"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it exited with code 1
    the container's last lines:
      | ?app: that was noise
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    told.next_shows(&case.world, "that was noise")?;
    case.mended()
}

/// By hand, and nobody listens: both streams are closed, or nobody reads them any more.
fn unheard(fault: &'static str, shell: &str) -> Result<()> {
    let case = Case::of(KIND, fault)?;
    let bundle = case.world.bundle(&Bundle::of("crash"))?;
    let command = format!("set -o pipefail; {shell}");
    let done =
        case.world.web.command("bash").args(["-c", &command, &bundle]).stdin(Stdio::null()).output()?;
    ensure!(done.status.code() == Some(1), "{}", done.status);
    case.unheard("deploy")?;
    case.mended()
}

#[test]
fn streams_that_are_closed() -> Result<()> {
    unheard("stdout and stderr are closed", "handover deploy $0 >&- 2>&-")
}

#[test]
fn a_pipe_that_nobody_reads() -> Result<()> {
    unheard("stderr is a pipe that nobody reads (EPIPE)", "handover deploy $0 2>&1 | true")
}
