//! One part is bad, and all of the old release is back.

use anyhow::{Context as _, Result, ensure};

use super::{Release, Whole};

/// Deploys releases that are refused; after each one the old release is as it was, by its ids.
fn each_is_refused(whole: &Whole, migrates: bool, releases: Vec<(Release, &str)>) -> Result<()> {
    let before = whole.live()?;
    for (nth, (release, says)) in releases.into_iter().enumerate() {
        let refused = whole.deploy(&format!("d-00000001{nth}"), release)?;
        let failure = refused.failure().unwrap_or_else(|| panic!("{says}: {refused:?}"));
        ensure!(failure.log.contains(says), "'{says}' is not in {}", failure.log);
        ensure!(failure.log.contains("the old release is serving"), "{}", failure.log);
        // What is not undone is said: a migration that has run, or was cut off.
        ensure!(failure.log.contains("schema:") == migrates, "{}", failure.log);
        let back = whole.live().with_context(|| failure.log.clone())?;
        ensure!(back == before, "{says}: {back:?}");
        whole.assert_settled("v1")?;
        ensure!(
            whole.shared()? == ["status-page-static.r1", "status-page.r1"],
            "{says}: {:?}",
            whole.shared()?
        );
    }
    whole.assert_unharmed()
}

/// What is asked in vain until the deadline of its gate: a shorter one.
fn in_vain(release: Release) -> Release {
    release.edit("deadline    = \"20s\"\n\n[process.worker]", "deadline = \"6s\"\n\n[process.worker]")
}

#[test]
fn a_bad_process_takes_all_of_them_back() -> Result<()> {
    let whole = Whole::with_v1()?;
    let site = |from: &str, to: &str| Release::of("v2").edit(from, to);
    each_is_refused(
        &whole,
        false,
        vec![
            (site("http://web:8000", "http://wbe:8000"), "host not found in upstream"),
            (Release::of("v2").with("VARIANT", "worker:crash"), "status-page-worker"),
            (Release::of("v2").with("VARIANT", "scheduler:crash"), "status-page-scheduler"),
            (in_vain(Release::of("v2").with("VARIANT", "error")), "status-page-web"),
            (Release::of("v2").with("VARIANT", "smoke:crash"), "task 'smoke' failed (exit code 1)"),
            (Release::of("v2").with("VARIANT", "collect:crash"), "task 'collect' failed (exit code 1)"),
        ],
    )
}

#[test]
fn a_bad_migration_never_reaches_traffic() -> Result<()> {
    let whole = Whole::with_v1()?;
    let migrates = |how: &str| Release::of("v2").with("SCHEMA", "2").with("VARIANT", how);
    each_is_refused(
        &whole,
        true,
        vec![
            (migrates("migrate:fail"), "task 'migrate' failed (exit code 1)"),
            (
                migrates("migrate:hang")
                    .edit("\"30s\"\nstop-timeout = \"1s\"", "\"3s\"\nstop-timeout = \"1s\""),
                "task 'migrate' did not end within 3 s",
            ),
            (
                migrates("migrate:eat-memory"),
                "task 'migrate' was killed: the kernel killed one of its processes, because it reached its memory limit of 64 MiB (OOM)",
            ),
            // It said that it was done: the gate finds out.
            (in_vain(migrates("migrate:nothing")), "HTTP/1.1 500"),
        ],
    )
}
