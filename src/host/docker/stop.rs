//! Ending containers.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::{
    EventsOptionsBuilder, KillContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Container, Docker, DockerError, INSPECT, START, already_done_is_fine, gone_is_fine, short};
use crate::model::Explain as _;

/// Beyond the time that the container itself may take.
const STOP_MARGIN: Duration = Duration::from_mins(2);
/// How often one that is being stopped is looked at.
const LOOK: Duration = Duration::from_millis(100);

impl Docker {
    /// Stops a container: its stop signal, its own time or `within`, then SIGKILL. Also when it does not run: a start
    /// that is under way in the Engine is waited for.
    ///
    /// One that was asked already, by a process of ours that is gone or by a person, only gets the rest of its time: to many a
    /// worker a second signal says that it is to drop its job (rq: "cold shut down").
    pub async fn stop(&self, id: &str, within: Duration) -> Result<(), DockerError> {
        let running = self.inspect(id).await?.filter(|container| container.running);
        let asked = match &running {
            // An Engine that does not tell gets it asked again.
            Some(container) => self.asked_to_stop(container).await.unwrap_or_default(),
            None => None,
        };
        let answer = match asked {
            Some(ago) => self.wait_for_end(id, within.saturating_sub(ago)).await,
            None => self.ask_to_stop(id, within).await,
        };
        if let Err(error) = &answer
            && error.is_passing()
        {
            return answer;
        }
        // The Engine may report a container as stopped that is not (moby#41587): the port would still be taken.
        match self.inspect(id).await? {
            Some(container) if container.running => self.kill(id).await,
            _ => Ok(()),
        }
    }

    async fn ask_to_stop(&self, id: &str, within: Duration) -> Result<(), DockerError> {
        let act = format!("stop container '{}'", short(id));
        let seconds = i32::try_from(within.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let stop = self.client.stop_container(id, Some(options));
        let answer = self.call(act, within.saturating_add(STOP_MARGIN), stop).await;
        gone_is_fine(already_done_is_fine(answer))
    }

    /// How long ago it got its stop signal, since its last start. Of the last 256 events of all its containers the Engine knows
    /// that (moby, daemon/events): what is older is forgotten, and asked again.
    async fn asked_to_stop(&self, container: &Container) -> Result<Option<Duration>, DockerError> {
        let act = format!("read the events of container '{}'", short(&container.id));
        let filters = HashMap::from([("container", vec![container.id.as_str()]), ("event", vec!["kill"])]);
        let (started, now) =
            (container.started_at.parse().unwrap_or(Timestamp::UNIX_EPOCH), Timestamp::now());
        let options =
            EventsOptionsBuilder::new().since(&unix(started)).until(&unix(now)).filters(&filters).build();
        let events: Vec<EventMessage> =
            self.call(act, INSPECT, self.client.events(Some(options)).try_collect()).await?;
        let signal = container.stop_signal.number().to_string();
        let asked = events.into_iter().find(|event| {
            let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
            attributes.and_then(|attributes| attributes.get("signal")) == Some(&signal)
        });
        let ago = |asked: EventMessage| {
            let asked = Timestamp::from_nanosecond(asked.time_nano?.into()).ok()?;
            Some(now.duration_since(asked).try_into().unwrap_or_default())
        };
        Ok(asked.map(|asked| ago(asked).unwrap_or_default()))
    }

    /// Waits until a container does not run any more, or the time is over.
    async fn wait_for_end(&self, id: &str, longest: Duration) -> Result<(), DockerError> {
        let deadline = Instant::now() + longest;
        while self.inspect(id).await?.is_some_and(|container| container.running) && Instant::now() < deadline
        {
            tokio::time::sleep(LOOK.min(deadline - Instant::now())).await;
        }
        Ok(())
    }

    /// Kills a container, unless it does not run.
    pub async fn kill(&self, id: &str) -> Result<(), DockerError> {
        let act = format!("kill container '{}'", short(id));
        let options = KillContainerOptionsBuilder::new().signal("KILL").build();
        match self.call(act, START, self.client.kill_container(id, Some(options))).await {
            Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(()),
            answer => answer,
        }
    }
}

/// A time as this one call takes it: elsewhere the Engine writes and reads RFC 3339.
fn unix(time: Timestamp) -> String {
    format!("{}.{:09}", time.as_second(), time.subsec_nanosecond())
}
