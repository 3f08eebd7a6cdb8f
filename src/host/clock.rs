//! How far this machine's clock is off: every answer of a server has the date in its header, so the answers of AWS, which
//! are needed anyway, show it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

/// The difference to the clock of the last server that answered.
#[derive(Debug, Clone, Default)]
pub struct ServerClock(Arc<Mutex<Option<SignedDuration>>>);

impl ServerClock {
    /// How far this machine's clock is ahead, or behind where it is less than zero; to a second. `None` as long as no server
    /// has sent a date.
    pub fn ahead(&self) -> Option<SignedDuration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, date: &str, now: Timestamp) {
        if let Ok(theirs) = rfc2822::parse(date) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(now.duration_since(theirs.timestamp()));
        }
    }

    /// Wraps an HTTP client, and notes the dates of its answers.
    pub fn watch(&self, client: SharedHttpClient) -> SharedHttpClient {
        let clock = self.clone();
        http_client_fn(move |settings, components| {
            let inner = client.http_connector(settings, components);
            SharedHttpConnector::new(Watched { inner, clock: clock.clone() })
        })
    }
}

#[derive(Debug)]
struct Watched {
    inner: SharedHttpConnector,
    clock: ServerClock,
}

impl HttpConnector for Watched {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, clock) = (self.inner.call(request), self.clock.clone());
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            if let Some(date) = answer.headers().get("date") {
                clock.note(date, Timestamp::now());
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_shows_how_far_off_the_clock_is() {
        let now: Timestamp = "2026-11-23T03:05:00Z".parse().unwrap();
        let ahead = |date: &str| {
            let clock = ServerClock::default();
            clock.note(date, now);
            clock.ahead().map(|ahead| ahead.as_secs())
        };
        assert_eq!(ahead("Mon, 23 Nov 2026 03:05:00 GMT"), Some(0));
        assert_eq!(ahead("Mon, 23 Nov 2026 03:00:00 GMT"), Some(300));
        assert_eq!(ahead("Tue, 24 Nov 2026 03:05:00 GMT"), Some(-86_400));
        assert_eq!(ahead("yesterday"), None);
    }
}
