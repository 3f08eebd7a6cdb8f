//! Power cuts, boots and restarts of the daemon.

use jiff::Timestamp;

use crate::{container::Status, world::World};

/// Exit code of a container that was running when the power went.
const CUT: i64 = 255;

/// Who is started first at a boot, and so wins a host port that two containers want.
///
/// The Engine starts them side by side: a test that depends on it must hold for both orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Race {
    /// In the order in which they were created.
    OldestFirst,
    /// In the reverse order.
    NewestFirst,
    /// This one (by name) before all others, which follow in the order of creation.
    First(String),
}

impl World {
    /// The power goes: every process is gone, nothing is noted.
    pub(crate) fn power_cut(&mut self) {
        for one in &mut self.containers {
            one.listeners = None;
            one.published.clear();
        }
        self.execs.clear();
        self.signals.clear();
    }

    /// The daemon is told to end: it stops its containers, which does not count as a stop by hand.
    pub(crate) fn shut_down(&mut self) {
        for at in 0..self.containers.len() {
            if self.containers[at].status.counts_as_running() {
                let code = self.containers[at].code_of_stop();
                self.end(at, code);
            }
        }
        self.execs.clear();
        self.signals.clear();
    }

    /// The daemon comes up: what it believes to run does not, and the restart policies decide.
    pub(crate) fn boot(&mut self, race: &Race) {
        for one in self.containers.iter_mut().filter(|c| c.status.counts_as_running()) {
            // Ports and address stay in inspect: that, too, is what the Engine does.
            one.status = Status::Exited;
            one.exit_code = CUT;
            one.finished_at = Some(Timestamp::now());
            one.exits += 1;
            one.pid = 0;
            one.address = None;
        }
        let mut order: Vec<usize> = (0..self.containers.len()).collect();
        match race {
            Race::OldestFirst => {}
            Race::NewestFirst => order.reverse(),
            Race::First(name) => {
                assert!(
                    self.containers.iter().any(|c| c.name == *name),
                    "no container {name} to be first at the boot"
                );
                order.sort_by_key(|at| self.containers[*at].name != *name);
            }
        }
        for at in order {
            let one = &mut self.containers[at];
            if one.started_before
                && one.policy.restarts(one.exit_code, one.stopped_by_hand, one.restart_count)
            {
                let missing = one.binds.iter().find(|bind| bind.check().is_err());
                if let Some(bind) = missing {
                    let message = format!(
                        "failed to create shim task: OCI runtime create failed: runc create failed: unable to \
                         start container process: error during container init: error mounting \"{source}\" to \
                         rootfs at \"{}\": stat {source}: no such file or directory: unknown",
                        bind.target,
                        source = bind.source
                    );
                    self.fails(at, 400, 127, &message);
                    continue;
                }
                // Refused, it stays ended with its error noted; nothing tries again.
                let _ = self.launch(at);
            }
        }
        self.changed();
    }
}
