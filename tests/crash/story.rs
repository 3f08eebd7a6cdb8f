//! The plain stories, undisturbed.

use crate::world::{SECRET, World};

#[tokio::test(flavor = "current_thread")]
async fn a_first_deployment_and_an_update() {
    let world = World::with_v1().await;
    world.assert_settled("v1");
    let report = world.deploy("d-2", "v2").await.unwrap();
    assert_eq!(report.exit().code(), 0);
    world.assert_settled("v2");
    let parked = world.engine.container("status-page-web.r1").expect("v1 is parked");
    assert!(!parked.running);
    let live = world.engine.container("status-page-web").unwrap();
    assert!(live.env.contains(&format!("DATABASE_PASSWORD={SECRET}")), "{:?}", live.env);
    assert!(live.env.contains(&"DATABASE_HOST=db.internal".to_owned()), "{:?}", live.env);
}
