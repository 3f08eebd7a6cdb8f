//! Baking: the candidates serve, live is warm, and the redirect ends by itself unless it is renewed.

use std::time::Duration;

use tokio::time::Instant;

use super::context::{Context, Gathered};
use super::health::bake::watch_under_traffic;
use super::traffic;
use crate::journal::Facts;
use crate::model::{Failure, ProcessName};

/// How often the redirect is renewed: two times may fail.
const RENEW: Duration = Duration::from_secs(traffic::LEASE.as_secs() / 4);

/// Watches the candidates for as long as the configuration says, and as the time of a hook allows.
pub(super) async fn bake(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let settings = context.settings();
    let left = context.clock.left(settings.reserve()).unwrap_or(Duration::MAX);
    let until = Instant::now() + settings.bake.min(left);
    let candidates: Vec<(ProcessName, String)> =
        facts.candidates.iter().map(|(process, id)| (process.clone(), id.clone())).collect();
    // It may have ended since it was given: an Engine that is away is waited for, and then this is made once more.
    traffic::give(context, facts, true).await?;
    let renew = async || traffic::give(context, facts, true).await;
    watch_under_traffic(context, gathered, &candidates, until, RENEW, renew).await
}
