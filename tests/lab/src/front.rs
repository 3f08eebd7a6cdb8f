//! The front of ECR's registry, from the side of the tests: what was asked of it, and what goes wrong.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::aws::{read_notes, write_whole};
use crate::registry::Registry;

/// Something that goes wrong with the requests to one kind of path.
#[derive(Debug, Clone, Serialize)]
pub struct RegistryFault {
    /// A regular expression that is found in the path.
    path: String,
    effect: Effect,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
    /// Only for this method.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// For so many requests; without it, for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    /// Not for the first so many requests.
    after: u32,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Effect {
    Refuse,
    Hang,
    Hold,
    Reset,
    Stall,
    Cut,
    Flip,
}

/// An error as registries give it.
#[derive(Debug, Clone, Serialize)]
struct Refusal {
    status: u16,
    code: String,
    message: String,
}

impl RegistryFault {
    /// What is asked for manifests, by tag or by digest.
    pub const MANIFESTS: &str = "/manifests/";
    /// What is asked for the content of layers and of configurations.
    pub const BLOBS: &str = "/blobs/";

    fn at(path: &str, effect: Effect) -> Self {
        Self { path: path.to_owned(), effect, refusal: None, method: None, times: None, after: 0 }
    }

    /// An error answer with this status and one of the registry's codes, such as `TOOMANYREQUESTS`.
    pub fn error(path: &str, status: u16, code: &str, message: &str) -> Self {
        let refusal = Refusal { status, code: code.to_owned(), message: message.to_owned() };
        Self { refusal: Some(refusal), ..Self::at(path, Effect::Refuse) }
    }

    /// No answer until the faults are changed; then the connection is dropped.
    pub fn hang(path: &str) -> Self {
        Self::at(path, Effect::Hang)
    }

    /// A proper answer, but only when the faults are changed.
    pub fn hold(path: &str) -> Self {
        Self::at(path, Effect::Hold)
    }

    /// The connection is dropped without an answer.
    pub fn reset(path: &str) -> Self {
        Self::at(path, Effect::Reset)
    }

    /// Half of the content, and then nothing until the faults are changed.
    pub fn stall(path: &str) -> Self {
        Self::at(path, Effect::Stall)
    }

    /// Half of the content, and then the end of the connection.
    pub fn cut(path: &str) -> Self {
        Self::at(path, Effect::Cut)
    }

    /// All of the content, with one bit another one.
    pub fn flip(path: &str) -> Self {
        Self::at(path, Effect::Flip)
    }

    /// This fault for requests of this method only.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// This fault for so many requests only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// This fault after so many requests that it would fit.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }
}

/// One request that the registry got.
#[derive(Debug, Clone, Deserialize)]
pub struct RegistryRequest {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The address it came from.
    pub client: String,
    /// Whether it met a fault.
    pub fault: bool,
}

impl Registry {
    /// Lets these requests go wrong, and no others, from the next one on.
    pub fn set_faults(&self, faults: &[RegistryFault]) -> Result<()> {
        write_whole(&self.inner.vpc_folder().join("registry-faults.json"), &serde_json::to_vec(faults)?)
    }

    /// Lets everything go well again.
    pub fn clear_faults(&self) -> Result<()> {
        self.set_faults(&[])
    }

    /// The requests since the lab came up or the last reset, in their order.
    pub fn requests(&self) -> Result<Vec<RegistryRequest>> {
        read_notes(&self.inner.vpc_folder().join("registry-requests.jsonl"))
    }

    /// Starts counting from nothing.
    pub fn reset_requests(&self) -> Result<()> {
        Ok(std::fs::write(self.inner.vpc_folder().join("registry-requests.jsonl"), "")?)
    }
}
