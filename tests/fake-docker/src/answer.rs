//! What a handler answers.

use serde_json::{Value, json};

/// The body of an answer.
pub(crate) enum Body {
    Empty,
    Json(Value),
    Text(&'static str),
    /// Bytes of a stream, with their content type.
    Bytes(&'static str, Vec<u8>),
    /// Bytes sent after the connection has changed its protocol.
    Upgraded(Vec<u8>),
    /// Answer once the container has ended.
    Wait(Wait),
    /// The same, with an empty answer.
    Ended(Wait),
    /// No answer at all.
    Never,
}

/// A call that is not answered before a container has ended.
pub(crate) struct Wait {
    pub(crate) container: String,
    pub(crate) until: Until,
}

/// What it waits for.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    NotRunning,
    /// The number of exits must grow past this one.
    NextExit(u64),
    Removed,
}

/// An answer with its status.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// Set when the fake refuses something that the real Engine would take.
    pub(crate) complaint: Option<String>,
}

/// Both sides are answers; `Err` is the one that changed nothing.
pub(crate) type Answer = Result<Reply, Reply>;

impl Reply {
    pub(crate) fn new(status: u16, body: Body) -> Self {
        Self { status, body, complaint: None }
    }

    pub(crate) fn json(body: Value) -> Self {
        Self::new(200, Body::Json(body))
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, Body::Empty)
    }
}

/// An error in the Engine's shape.
pub(crate) fn refuse(status: u16, message: impl Into<String>) -> Reply {
    Reply::new(status, Body::Json(json!({ "message": message.into() })))
}

/// A refusal that only the fake makes.
pub(crate) fn complain(status: u16, what: impl AsRef<str>) -> Reply {
    let message = format!("fake: {}", what.as_ref());
    let mut reply = refuse(status, message.clone());
    reply.complaint = Some(message);
    reply
}
