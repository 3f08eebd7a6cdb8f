//! One suite against two Engines: what the fake answers is what a real one answers.
//!
//! A case is a series of calls. What matters of each answer is written down, and what was written down on a real Engine
//! is in `answers/`. The tests below `fake` compare the fake with it, and need nothing; the test `real` compares a real
//! Engine with it, in one lab.

mod answer;
mod cases;
mod engine;
mod fake;
mod host;
mod real;
mod stock;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::cases::{CASES, Case};
use crate::engine::Engine;
use crate::host::Host;

/// Runs a case and compares what was said with what is on record.
fn check(name: &str, case: Case, host: &mut dyn Host) -> Result<()> {
    let mut engine = Engine::on(host)?;
    let ran = case(&mut engine);
    let told = engine.told();
    ran.with_context(|| format!("{name}, after this:\n{told}"))?;
    insta::with_settings!({
        snapshot_path => "../../answers", prepend_module_to_snapshot => false, omit_expression => true,
    }, { insta::assert_snapshot!(name, told) });
    Ok(())
}

#[test]
fn real() -> Result<()> {
    let only = std::env::var("CASE").ok().filter(|only| !only.is_empty());
    let mut host = real::Real::new()?;
    let mut failed = Vec::new();
    for (name, case) in CASES.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let start = Instant::now();
        // All of them are looked at, whatever the first says.
        match catch_unwind(AssertUnwindSafe(|| check(name, *case, &mut host))) {
            Ok(Ok(())) => println!("{name}: {:?}", start.elapsed()),
            Ok(Err(error)) => failed.push(format!("{name}: {error:#}")),
            Err(_) => failed.push(format!("{name}: see above")),
        }
        Engine::tidy(&mut host)?;
    }
    // The names last: of a long output people see the end.
    ensure!(failed.is_empty(), "{}\n{}", host.log(), failed.join("\n"));
    Ok(())
}
