//! The gate: the rule by which a container counts as healthy. Pure.

use std::time::Duration;

use super::sight::{Sight, Way};
use crate::model::Health;
use crate::text::{duration, out_of_memory};

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// It is healthy.
    Healthy,
    /// It is not.
    Failed(Sight),
}

/// What was seen of a container at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// How often the Engine has started it again.
    pub restarts: i64,
    /// How many of its processes the kernel has killed for its memory limit, where that can be seen.
    pub oom_kills: u64,
    /// What the probe saw; an error when it does not run, and why.
    pub state: Result<Probed, Sight>,
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet.
    Wait,
    /// It is.
    Healthy,
    /// It is not and will not be; why.
    Unhealthy(Sight),
}

/// After so many errors of the application, and nothing else, it is said that it does not look like a slow start.
const FEW: u32 = 3;

/// What a container may have been through before this gate looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Nothing: a container of this run was never restarted, and none of its processes was killed.
    Spotless,
    /// Anything: only what happens under our eyes counts.
    Unknown,
}

/// What cut the deadline of a gate short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What the deadline would be.
    pub from: Duration,
    /// Whose timeout does not leave more.
    pub by: String,
}

/// The gate at work: what it has seen so far.
#[derive(Debug)]
pub struct Gate {
    health: Health,
    cut: Option<Cut>,
    memory: Option<u64>,
    streak: u32,
    since: Duration,
    restarts: Option<i64>,
    oom_kills: Option<u64>,
    probes: u32,
    successes: u32,
    /// How many probes were answered with an error of the application, as long as none was answered in another way.
    errors: Option<u32>,
    last: Option<Sight>,
}

impl Gate {
    /// A gate that has seen nothing yet. `memory` is the container's limit in bytes.
    pub fn new(health: Health, past: Past, cut: Option<Cut>, memory: Option<u64>) -> Self {
        let spotless = past == Past::Spotless;
        Self {
            health,
            cut,
            memory,
            streak: 0,
            since: Duration::ZERO,
            restarts: spotless.then_some(0),
            oom_kills: spotless.then_some(0),
            probes: 0,
            successes: 0,
            errors: Some(0),
            last: None,
        }
    }

    /// Takes in one look, `now` after the start.
    pub fn judge(&mut self, now: Duration, look: Look) -> Verdict {
        let restarts = *self.restarts.get_or_insert(look.restarts);
        let oom_kills = *self.oom_kills.get_or_insert(look.oom_kills);
        if look.oom_kills > oom_kills {
            return Verdict::Unhealthy(Sight::down(out_of_memory(look.oom_kills - oom_kills, self.memory)));
        }
        if look.restarts > restarts {
            return Verdict::Unhealthy(Sight::down("it was restarted while it was on trial"));
        }
        match look.state {
            Err(down) => return Verdict::Unhealthy(down),
            Ok(Probed::Healthy) => {
                if self.streak == 0 {
                    self.since = now;
                }
                self.streak = self.streak.saturating_add(1);
                self.successes = self.successes.saturating_add(1);
                self.errors = None;
            }
            Ok(Probed::Failed(saw)) => {
                self.streak = 0;
                if saw.way.is_error_of_the_app() {
                    self.errors = self.errors.map(|errors| errors.saturating_add(1));
                } else if saw.way.is_answer() {
                    self.errors = None;
                }
                self.last = Some(saw);
            }
        }
        self.probes = self.probes.saturating_add(1);
        if self.streak >= self.health.successes && now.saturating_sub(self.since) >= self.health.min_healthy {
            return Verdict::Healthy;
        }
        if now >= self.health.deadline {
            return Verdict::Unhealthy(self.why_not());
        }
        Verdict::Wait
    }

    /// What is worth saying while it is waited for, once: the application has answered a few times, and only with errors. It may
    /// still come up, so it keeps its time.
    pub fn remark(&self) -> Option<String> {
        let saw = self.last.as_ref().filter(|_| self.errors == Some(FEW))?;
        let limit = duration(self.health.deadline);
        Some(format!(
            "{FEW} of {FEW} answers were errors; the last probe {}; {LOOK_AT}. It has {limit} in all",
            saw.what
        ))
    }

    /// Since when, after the start, it has been healthy without a break.
    pub fn since(&self) -> Duration {
        self.since
    }

    fn why_not(&self) -> Sight {
        let cut = self.cut.as_ref().map(|cut| {
            format!(" (instead of {}: the timeout of {} leaves no more)", duration(cut.from), cut.by)
        });
        let limit = format!("{}{}", duration(self.health.deadline), cut.unwrap_or_default());
        let Some(saw) = &self.last else {
            return Sight::of(
                Way::NoAnswer,
                format!("it was not healthy for long enough within {limit}, although no probe failed"),
            );
        };
        let what = format!(
            "it was not healthy within {limit}: of {} probes {} succeeded, and the last one that failed {}",
            self.probes, self.successes, saw.what
        );
        let only_errors = saw.fix.is_empty() && self.errors.is_some_and(|errors| errors >= FEW);
        let fix = if only_errors { LOOK_AT.to_owned() } else { saw.fix.clone() };
        Sight { what, fix, ..saw.clone() }
    }
}

/// What an application needs that answers with errors from the start.
const LOOK_AT: &str = "look at what it needs: the database (is it reachable, are all migrations made?), its secrets and its settings";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Probe;
    use proptest::prelude::*;

    fn health(successes: u32, min_healthy: u64, deadline: u64) -> Health {
        Health {
            probe: Probe::Running,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            successes,
            min_healthy: Duration::from_secs(min_healthy),
            deadline: Duration::from_secs(deadline),
        }
    }

    fn gate(health: Health, past: Past) -> Gate {
        Gate::new(health, past, None, Some(64 << 20))
    }

    fn answered(status: u16) -> Sight {
        Sight::of(Way::Status(status), format!("was answered with status {status}"))
    }

    fn look(ok: bool) -> Look {
        let state = if ok { Probed::Healthy } else { Probed::Failed(answered(500)) };
        Look { restarts: 0, oom_kills: 0, state: Ok(state) }
    }

    fn verdicts(health: Health, probes: &[bool]) -> Vec<Verdict> {
        let mut gate = gate(health, Past::Spotless);
        (0..).zip(probes).map(|(second, ok)| gate.judge(Duration::from_secs(second), look(*ok))).collect()
    }

    #[test]
    fn one_success_is_not_enough_and_a_failure_starts_the_count_again() {
        let verdicts = verdicts(health(3, 0, 60), &[true, false, true, true, true]);
        assert_eq!(verdicts.iter().position(|v| *v == Verdict::Healthy), Some(4));
    }

    #[test]
    fn successes_count_only_over_the_minimal_time() {
        let verdicts = verdicts(health(2, 4, 60), &[true; 6]);
        assert_eq!(verdicts.iter().position(|v| *v == Verdict::Healthy), Some(4));
    }

    #[test]
    fn at_the_deadline_the_last_failure_is_told() {
        let verdicts = verdicts(health(3, 0, 3), &[false; 4]);
        let Verdict::Unhealthy(why) = &verdicts[3] else { panic!("{verdicts:?}") };
        assert!(why.what.contains("status 500") && why.what.contains("within 3 s:"), "{why:?}");
        assert!(why.fix.contains("database") && why.fix.contains("migrations"), "{why:?}");
    }

    /// One that boots refuses connections first; one that answers in another way in between may be coming up.
    #[test]
    fn errors_and_nothing_else_are_remarked_on_once_and_are_no_verdict() {
        let refused = || Sight::of(Way::Refused, "could not connect");
        for (seen, remarks) in [
            (vec![refused(), answered(500), answered(503), answered(500), answered(500)], 1),
            (vec![answered(500), answered(404), answered(500), answered(500), answered(500)], 0),
            (vec![answered(500), answered(500)], 0),
            (vec![refused(); 5], 0),
        ] {
            let mut gate = gate(health(3, 0, 60), Past::Spotless);
            let mut said = 0;
            for (second, sight) in (0..).zip(&seen) {
                let look = Look { state: Ok(Probed::Failed(sight.clone())), ..look(true) };
                assert_eq!(gate.judge(Duration::from_secs(second), look), Verdict::Wait);
                said += usize::from(sight.way.is_error_of_the_app() && gate.remark().is_some());
            }
            assert_eq!(said, remarks, "{seen:?}");
        }
        // After a success it was healthy once: what is wrong now is something else.
        let mut gate = gate(health(3, 0, 60), Past::Spotless);
        for ok in [true, false, false, false] {
            gate.judge(Duration::ZERO, look(ok));
        }
        assert_eq!(gate.remark(), None);
    }

    #[test]
    fn a_deadline_that_was_cut_says_so() {
        let cut = Cut { from: Duration::from_mins(2), by: "ApplicationStart".to_owned() };
        let mut gate = Gate::new(health(3, 0, 1), Past::Spotless, Some(cut), None);
        let Verdict::Unhealthy(why) = gate.judge(Duration::from_secs(1), look(false)) else { panic!() };
        assert!(
            why.what
                .contains("within 1 s (instead of 2 min: the timeout of ApplicationStart leaves no more)"),
            "{why:?}"
        );
    }

    #[test]
    fn an_exit_or_a_restart_ends_it_at_once() {
        let mut on_trial = gate(health(3, 0, 60), Past::Spotless);
        assert_eq!(on_trial.judge(Duration::ZERO, look(true)), Verdict::Wait);
        let restarted = Look { restarts: 1, ..look(true) };
        assert!(matches!(on_trial.judge(Duration::ZERO, restarted), Verdict::Unhealthy(_)));
        let down = Look { state: Err(Sight::down("it exited with code 1")), ..look(true) };
        let verdict = gate(health(3, 0, 60), Past::Spotless).judge(Duration::ZERO, down);
        assert_eq!(verdict, Verdict::Unhealthy(Sight::down("it exited with code 1")));
    }

    /// An app that dies every 20 s and comes back passes two gates of 5 s; the Engine has counted.
    #[test]
    fn what_happened_before_counts_against_a_container_of_this_run_only() {
        for (restarts, oom_kills) in [(1, 0), (0, 1)] {
            let before = || Look { restarts, oom_kills, ..look(true) };
            let new = gate(health(1, 0, 60), Past::Spotless).judge(Duration::ZERO, before());
            assert!(matches!(new, Verdict::Unhealthy(_)), "{new:?}");
            let mut old = gate(health(2, 0, 60), Past::Unknown);
            assert_eq!(old.judge(Duration::ZERO, before()), Verdict::Wait);
            assert_eq!(old.judge(Duration::ZERO, before()), Verdict::Healthy);
        }
    }

    #[test]
    fn a_killed_child_is_told_with_the_limit() {
        let mut gate = gate(health(3, 0, 60), Past::Spotless);
        assert_eq!(gate.judge(Duration::ZERO, look(false)), Verdict::Wait);
        let Verdict::Unhealthy(why) = gate.judge(Duration::ZERO, Look { oom_kills: 2, ..look(false) }) else {
            panic!("it waits out its deadline")
        };
        assert_eq!(
            why.what,
            "the kernel killed 2 of its processes, because it reached its memory limit of 64 MiB (OOM)"
        );
    }

    #[test]
    fn only_what_is_killed_under_our_eyes_is_counted_of_an_old_container() {
        let mut gate = gate(health(3, 0, 60), Past::Unknown);
        let killed = |oom_kills| Look { oom_kills, ..look(false) };
        assert_eq!(gate.judge(Duration::ZERO, killed(5)), Verdict::Wait);
        let Verdict::Unhealthy(why) = gate.judge(Duration::ZERO, killed(6)) else { panic!("it waits") };
        assert!(why.what.starts_with("the kernel killed one of its processes,"), "{why:?}");
    }

    /// The outage ends with the first of the successes that count.
    #[test]
    fn it_is_healthy_since_the_first_success_without_a_break() {
        let mut gate = gate(health(2, 0, 60), Past::Spotless);
        for (second, ok) in [(1, true), (2, false), (3, true), (4, true)] {
            gate.judge(Duration::from_secs(second), look(ok));
        }
        assert_eq!(gate.since(), Duration::from_secs(3));
    }

    proptest! {
        #[test]
        fn healthy_means_enough_successes_in_a_row_for_long_enough(
            probes in proptest::collection::vec(any::<bool>(), 1..40), successes in 1_u32..5, min in 0_u64..8,
        ) {
            let verdicts = verdicts(health(successes, min, 1000), &probes);
            if let Some(at) = verdicts.iter().position(|v| *v == Verdict::Healthy) {
                let streak = probes[..=at].iter().rev().take_while(|ok| **ok).count();
                prop_assert!(streak as u64 >= u64::from(successes) && (streak as u64 - 1) >= min);
            }
        }
    }
}
