//! The log of calls, and what may befall each.

/// One call that reached the fake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Running number of the call, from 0.
    pub n: usize,
    /// The method, in upper case.
    pub method: String,
    /// The path as the client sent it, version prefix included, without the query.
    pub path: String,
    /// The raw query, empty when there was none.
    pub query: String,
    /// Whether the call can change anything.
    pub mutating: bool,
    /// The status that was answered; `None` while under way, and for good when the reply never went out.
    pub status: Option<u16>,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out and answered.
    Proceed,
    /// It has no effect and no answer: the client died before the Engine saw it.
    CrashBefore,
    /// It has its effect and no answer: the client died before it saw the reply.
    CrashAfter,
    /// It has no effect and no answer, and its client lives: the Engine is stuck.
    Hang,
    /// It has no effect and is answered with this status and message.
    Refuse(u16, String),
}

/// Decides about calls.
pub(crate) type Hook = Box<dyn Fn(&Call) -> Fate + Send>;

/// What the fake remembers of the calls it got.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) calls: Vec<Call>,
    pub(crate) complaints: Vec<String>,
}

/// Whether a call of this method and path can change anything.
pub(crate) fn mutates(method: &str, segments: &[&str]) -> bool {
    method != "GET" && method != "HEAD" && segments.last() != Some(&"wait")
}
