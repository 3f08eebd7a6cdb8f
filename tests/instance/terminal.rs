//! What a person sees: colours on a terminal unless NO_COLOR asks for none, none in a pipe; and listeners who go away.

use anyhow::{Result, ensure};
use std::process::Stdio;
use world::{Bundle, World, text};

/// Select Graphic Rendition: what colours a text.
fn is_coloured(output: &str) -> bool {
    output.split("\u{1b}[").skip(1).any(|rest| {
        let parameters = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        parameters.starts_with('m')
    })
}

fn on_a_terminal(world: &World, variables: &[&str], bundle: &str) -> Result<String> {
    let command = format!("handover deploy --group test {bundle}");
    let output = world
        .web
        .command("env")
        .args(["TERM=xterm-256color"])
        .args(variables)
        .args(["script", "-qec", &command, "/dev/null"])
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "{}", text(&output.stdout));
    Ok(text(&output.stdout))
}

#[test]
fn colours_are_for_terminals_that_want_them() -> Result<()> {
    let world = World::up()?;
    let bundle = world.bundle(&Bundle::of("v1"))?;
    let coloured = on_a_terminal(&world, &[], &bundle)?;
    ensure!(is_coloured(&coloured) && coloured.contains("is serving"), "{coloured:?}");
    let plain = on_a_terminal(&world, &["NO_COLOR=1"], &bundle)?;
    ensure!(!is_coloured(&plain) && plain.contains("nothing to change"), "{plain:?}");
    let piped = world.handover(&["deploy", &bundle])?;
    let said = text(&piped.stderr);
    ensure!(piped.status.success() && !said.contains('\u{1b}') && !said.contains('\r'), "{said:?}");
    Ok(())
}

#[test]
fn nobody_has_to_listen() -> Result<()> {
    let world = World::up()?;
    // Both streams closed, as after the end of a terminal; then pipes whose readers are gone.
    for (tag, redirection) in [
        ("v1", "handover deploy --group test $0 >&- 2>&-"),
        ("v2", "handover deploy --group test $0 2>&1 | true"),
    ] {
        let bundle = world.bundle(&Bundle::of(tag))?;
        let shell = format!("set -o pipefail; {redirection}");
        let output = world.web.command("bash").args(["-c", &shell, &bundle]).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{redirection}: {}", output.status);
        world.assert_settled(tag)?;
    }
    let shell = "handover status | true; handover status --json >&-; exit ${PIPESTATUS[0]}";
    let output = world.web.command("bash").args(["-c", shell]).stdin(Stdio::null()).output()?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    Ok(())
}
