//! What the application needs beside itself.

use anyhow::{Result, ensure};
use insta::assert_snapshot;
use world::{Bundle, World};

use crate::case::Case;

const KIND: &str = "backend";

#[test]
fn a_database_that_is_down() -> Result<()> {
    // So that live, when it is put back, is not waited for as long as it is otherwise.
    let soon = |tag| Bundle::of(tag).edit("deadline    = \"2m\"", "deadline = \"2s\"");
    let world = World::up()?;
    let first = world.deploy("d-000000001", &soon("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let case = Case::on(world, KIND, "the database is down")?;
    case.world.lab.stop("database")?;
    let told = case.replaced_in(case.begin("v1", &soon("v2"))?)?;
    assert_snapshot!(told, @r#"
    ApplicationStart ends with 3
    why:   container 'status-page-web.r2' is not healthy: it was not healthy within 2 s: of N probes 0 succeeded, and
           the last one that failed was answered with status 503 after N ms: '{"error":"database: connect to
           10.66.0.4:5432: Connection refused (os error 111)","ready":false}'; the release before, status-page-web (r1),
           failed in the same way right before the switch (it was not healthy within 3 s: of N probes 0 succeeded, and
           the last one that failed was answered with status 503 after N ms: '{"error":"database: connect to
           10.66.0.4:5432: Connection refused (os error 111)","ready":false}')
    fix:   look at what both releases need: the database, the cache, their secrets, the network
    left:  status-page-web: it was not healthy within 2 s: of N probes 0 succeeded, and the last one that failed was
           answered with status 503 after N ms: '{"error":"database: connect to 10.66.0.4:5432: Connection refused (os
           error 111)","ready":false}'
    note:  status-page-web (r1) was not healthy before the switch: it was not healthy within 3 s: of N probes 0 succe...
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 3): status-page r2 was refused, and NOTHING healthy is serving
    "#);
    case.world.lab.start("database")?;
    case.world.assert_settled("v1")?;
    case.mended()
}
