//! SIGTERM and SIGINT: the first asks to unwind, later ones change nothing. What is under way is brought to an end.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether this process was asked to stop.
#[derive(Debug, Clone)]
pub struct Termination {
    asked: watch::Receiver<bool>,
}

impl Termination {
    /// Listens from now on. The process does not die of these signals any more.
    pub fn listen() -> std::io::Result<Self> {
        let (tell, asked) = watch::channel(false);
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        // A closed terminal or pipe must not end a handover half-way: its write fails, and is ignored.
        let mut hup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = term.recv() => { let _ = tell.send(true); }
                    _ = int.recv() => { let _ = tell.send(true); }
                    _ = hup.recv() => {}
                }
            }
        });
        Ok(Self { asked })
    }

    /// When somebody else says so: for tests.
    pub fn when(asked: watch::Receiver<bool>) -> Self {
        Self { asked }
    }

    /// Never: for tests and for what must not be interrupted.
    pub fn never() -> Self {
        Self { asked: watch::channel(false).1 }
    }

    /// Whether it was asked for.
    pub fn is_requested(&self) -> bool {
        *self.asked.borrow()
    }

    /// What `work` comes to; nothing when it is asked for first. `work` is dropped then, so it has to be something that may be
    /// left at any moment.
    pub async fn unless_requested<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.requested() => None,
            result = work => Some(result),
        }
    }

    /// Waits until it is asked for.
    pub async fn requested(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_for_ever_is_left_when_it_is_asked_for() {
        let (tell, asked) = watch::channel(false);
        let termination = Termination::when(asked);
        assert_eq!(termination.unless_requested(async { 1 }).await, Some(1));
        let waiting =
            tokio::spawn(async move { termination.unless_requested(std::future::pending::<()>()).await });
        tell.send(true).unwrap();
        assert_eq!(waiting.await.unwrap(), None);
    }
}
