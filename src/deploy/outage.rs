//! How long the app did not serve: for how long nothing answered at all, and for how long nothing healthy did. A
//! container that answers 500 is there, but it is no service.

use std::time::Duration;

use jiff::Timestamp;

/// The outage of a switch, seen by the gates of one process; it may have begun in an earlier one.
#[derive(Debug, Default, Clone)]
pub struct Outage {
    /// Since when nothing healthy has answered, as far as is known.
    unhealthy_since: Option<Timestamp>,
    /// Since when nothing has answered at all.
    silent_since: Option<Timestamp>,
    unhealthy: Option<Duration>,
    silent: Duration,
}

/// What is reported of an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// How long nothing healthy answered.
    pub unhealthy: Duration,
    /// For how much of that nothing answered at all.
    pub silent: Duration,
}

impl Outage {
    /// Live was asked to stop. It takes nothing new, and finishes what it has.
    pub fn stopping(&mut self, at: Timestamp) {
        self.unhealthy_since.get_or_insert(at);
    }

    /// Live is down.
    pub fn down(&mut self, at: Timestamp) {
        self.unhealthy_since.get_or_insert(at);
        self.silent_since.get_or_insert(at);
    }

    /// A probe was answered, healthy or not.
    pub fn answered(&mut self, at: Timestamp) {
        if let Some(since) = self.silent_since.take() {
            self.silent += span(since, at);
        }
    }

    /// What answers is healthy, and has been since then.
    pub fn healthy(&mut self, since: Timestamp) {
        self.answered(since);
        if let Some(began) = self.unhealthy_since.take() {
            *self.unhealthy.get_or_insert_default() += span(began, since);
        }
    }

    /// Takes in one that went on at the same time: of two that are over the longer counts.
    pub fn join(&mut self, other: &Self) {
        self.unhealthy_since = earlier(self.unhealthy_since, other.unhealthy_since);
        self.silent_since = earlier(self.silent_since, other.silent_since);
        self.unhealthy = self.unhealthy.max(other.unhealthy);
        self.silent = self.silent.max(other.silent);
    }

    /// The outage that is over; nothing when there was none, or when it goes on.
    pub fn gap(&self) -> Option<Gap> {
        let unhealthy = self.unhealthy?;
        Some(Gap { unhealthy, silent: self.silent.min(unhealthy) })
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// A clock that was set back in between makes no outage.
fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_answers_sick_is_told_apart_from_what_does_not_answer() {
        let mut outage = Outage::default();
        outage.stopping(at(100));
        outage.down(at(103));
        assert_eq!(outage.gap(), None, "it goes on");
        outage.answered(at(105));
        outage.answered(at(106));
        outage.healthy(at(170));
        let gap = outage.gap().unwrap();
        assert_eq!((gap.unhealthy.as_secs(), gap.silent.as_secs()), (70, 2));
    }

    #[test]
    fn of_two_at_the_same_time_the_longer_counts() {
        let of = |from: i64, to: i64| {
            let mut outage = Outage::default();
            outage.down(at(from));
            outage.healthy(at(to));
            outage
        };
        let mut both = of(100, 107);
        both.join(&of(100, 160));
        assert_eq!(both.gap().unwrap().unhealthy.as_secs(), 60);
    }

    #[test]
    fn one_that_began_in_an_earlier_process_and_a_clock_that_was_set_back() {
        let mut outage = Outage::default();
        outage.down(at(100));
        outage.healthy(at(90));
        assert_eq!(outage.gap(), Some(Gap { unhealthy: Duration::ZERO, silent: Duration::ZERO }));
        assert_eq!(Outage::default().gap(), None, "nothing was stopped");
    }
}
