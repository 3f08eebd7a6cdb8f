//! How a process gives way to its next release.

use std::time::Duration;

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapOrder {
    /// The next release is started beside the old one, proven, and given the traffic before the old one is stopped.
    StartFirst,
    /// The old one is stopped first: there is a gap.
    StopFirst,
}

/// Whether clients are there during a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traffic {
    /// They are, unless `CodeDeploy` has told the load balancer to keep them away.
    #[default]
    Auto,
    /// They are.
    Live,
    /// They are not: two starts and a bake would be waste.
    Drained,
}

/// How a process gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    /// What comes first.
    pub order: SwapOrder,
    /// Whether clients are there.
    pub traffic: Traffic,
    /// The longest wait for established connections to end before a container is stopped that had traffic.
    pub drain: Duration,
    /// How long new connections wait at the longest, under stop-first; none if they are refused.
    pub stall: Option<Duration>,
}

impl Swap {
    /// How long connections get that nothing is said about.
    pub const DRAIN: Duration = Duration::from_secs(10);

    /// Whether new connections are to wait while the old one gives way, where clients are there.
    pub fn stalls(&self) -> bool {
        self.stall.is_some() && self.order == SwapOrder::StopFirst && self.traffic != Traffic::Drained
    }

    /// How long live gets for its connections before it is stopped. Where new ones wait, half of their time is the new
    /// container's.
    pub fn longest_drain(&self) -> Duration {
        match self.stall.filter(|_| self.stalls()) {
            Some(stall) => self.drain.min(stall / 2),
            None => self.drain,
        }
    }

    /// Whether the next release is to be started first, where clients are there.
    pub fn is_start_first(&self) -> bool {
        self.order == SwapOrder::StartFirst && self.traffic != Traffic::Drained
    }
}
