//! Stop-first: everything is made ready, then live is stopped and the new release takes its place.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Draft, stall, start_first};
use crate::config::Settings;
use crate::config::settings::Order as After;
use crate::deploy::serving::Live;
use crate::deploy::step::{
    Checks, Compare, Create, CreateCandidate, CreateNetwork, CreateVolumes, DrainLive, EndStall, Gate,
    GateLive, KeepNew, ParkOld, Preflight, Promote, ProtectLive, PullImages, Recheck, Record, ReleaseOld,
    RunTask, Stall, StartNew, StartService, StopLive, SwapTogether, Verify, WriteFiles,
};
use crate::journal::Planned;
use crate::model::Phase::{Finish, Prepare, Settle, Switch, Tasks};
use crate::model::ProcessName;

/// The ledger of restart policies decides the order: whenever the power fails, a reboot brings back one release that
/// works. Live comes back although it is stopped (`always`), until the new container, gated, comes back by itself. Of a
/// singleton a reboot rather brings back none than two: it is not protected, and the old one is released first.
///
/// Under start-first the candidates have the traffic from before the first stop until after the commit.
pub(super) fn plan(settings: &Settings, live: &Live, former: &After) -> Vec<Planned> {
    let Order { serving, others } = Order::of(settings);
    let mut stops = Stops { settings, former, stopped: BTreeSet::new() };
    let all = || serving.iter().chain(&others);
    let candidates = start_first::candidates(settings, &serving, live);
    let mut leaving = live.clone();
    leaving.retain(|process, _| !settings.processes.contains_key(process));
    // What came after another is stopped before it.
    let leaving_in_order: Vec<ProcessName> =
        former.sorted(leaving.keys().cloned()).into_iter().rev().collect();
    let has_ports = |process: &&ProcessName| leaving.get(*process).is_some_and(|live| !live.ports.is_empty());
    let mut plan = Draft::default();
    if !candidates.is_empty() {
        plan.drained = candidates.iter().chain(leaving.keys().filter(has_ports)).cloned().collect();
    }

    plan.stalled = stall::stalled(settings, &candidates, live);
    plan.drained.extend(plan.stalled.iter().cloned());

    // Everything that can fail without touching live comes before anything that touches it.
    plan.step(Prepare, Preflight);
    plan.step(Prepare, Compare);
    plan.step(Prepare, PullImages);
    if settings.has_network() {
        plan.step(Prepare, CreateNetwork);
    }
    for service in settings.services.keys() {
        plan.step(Prepare, StartService(service.clone()));
    }
    if settings.release_volumes().next().is_some() {
        plan.step(Prepare, CreateVolumes);
    }
    if settings.templates().next().is_some() {
        plan.step(Prepare, WriteFiles);
    }
    for process in settings.processes.keys() {
        plan.step(Prepare, Create(process.clone()));
    }
    for process in &candidates {
        plan.step(Prepare, CreateCandidate(process.clone()));
    }

    // What a task does to a database stays: a refusal that can be foreseen comes before it.
    if !settings.checks.is_empty() && !settings.tasks.is_empty() {
        plan.step(Tasks, Checks::BEFORE_TASKS);
    }
    for task in settings.after.sorted(settings.tasks.keys().cloned()) {
        plan.step(Tasks, RunTask(task));
    }
    if settings.tasks.values().any(|task| task.schema) {
        plan.step(Tasks, GateLive);
    }

    if !settings.checks.is_empty() {
        plan.step(Switch, Checks::BEFORE_SWITCH);
    }
    plan.step(Switch, Recheck);
    plan.move_over(&candidates);
    for process in leaving_in_order.iter().filter(has_ports) {
        stops.stop(&mut plan, process, &serving);
    }
    plan.swap_all(&mut stops, &serving);
    for process in leaving_in_order.iter().filter(|process| !has_ports(process)) {
        stops.stop(&mut plan, process, &[]);
    }
    let (patient, others_first) = patient(settings, former, &others);
    plan.swap_all(&mut stops, &others_first);
    plan.swap_together(&patient, settings);

    plan.commit(Settle);
    plan.move_on(&candidates);
    for process in leaving.keys() {
        plan.step(Settle, ReleaseOld(process.clone()));
        plan.step(Settle, ParkOld(process.clone()));
    }
    for process in all() {
        if is_singleton(settings, process) {
            plan.step(Settle, ReleaseOld(process.clone()));
            plan.step(Settle, KeepNew(process.clone()));
        } else {
            plan.step(Settle, KeepNew(process.clone()));
            plan.step(Settle, ReleaseOld(process.clone()));
        }
        plan.step(Settle, ParkOld(process.clone()));
        plan.step(Settle, Promote(process.clone()));
    }

    for process in all() {
        plan.step(Finish, Verify(process.clone()));
    }
    if !settings.checks.is_empty() {
        plan.step(Finish, Checks::AT_THE_END);
    }
    plan.step(Finish, Record);
    plan.plan
}

impl Draft {
    /// Live makes room for the new containers, and each is gated.
    fn swap_all(&mut self, stops: &mut Stops<'_>, processes: &[ProcessName]) {
        for process in processes {
            for one in processes.iter().rev().filter(|one| stops.settings.after.comes_after(one, process)) {
                stops.stop(self, one, processes);
            }
            self.step(Switch, StartNew(process.clone()));
            self.step(Switch, Gate(process.clone()));
            if self.stalled.contains(process) {
                self.step(Switch, EndStall(process.clone()));
            }
        }
    }

    /// The same side by side: none waits for another's stop.
    fn swap_together(&mut self, processes: &[ProcessName], settings: &Settings) {
        for process in processes.iter().filter(|process| !is_singleton(settings, process)) {
            self.step(Switch, ProtectLive(process.clone()));
        }
        if !processes.is_empty() {
            self.step(Switch, SwapTogether(processes.to_vec()));
        }
    }
}

/// From here a stop takes so long that another process must not wait for it.
const LONG_STOP: Duration = Duration::from_mins(1);

/// The last of the processes: those whose stops may take minutes, if there are several and none comes after another; and all before
/// them.
fn patient(
    settings: &Settings,
    former: &After,
    others: &[ProcessName],
) -> (Vec<ProcessName>, Vec<ProcessName>) {
    let is_alone = |one: &ProcessName| {
        let related = |other: &&ProcessName| {
            let orders = [&settings.after, former];
            *other != one && orders.iter().any(|o| o.comes_after(one, other) || o.comes_after(other, one))
        };
        !others.iter().any(|other| related(&other))
    };
    let is_patient =
        |one: &&ProcessName| settings.processes[*one].workload.stop_timeout > LONG_STOP && is_alone(one);
    let (patient, first): (Vec<ProcessName>, Vec<ProcessName>) =
        others.iter().cloned().partition(|one| is_patient(&one));
    if patient.len() > 1 { (patient, first) } else { (vec![], others.to_vec()) }
}

/// How live is stopped, each process once. What comes after another is stopped before that, be it in the new release or in the
/// one that is live: so it also comes after it on the way back, which is the other way round, and finds what it needs. That holds
/// among those that are swapped together: whose stop may take long holds up nothing that answers clients.
struct Stops<'s> {
    settings: &'s Settings,
    former: &'s After,
    stopped: BTreeSet<ProcessName>,
}

impl Stops<'_> {
    fn stop(&mut self, plan: &mut Draft, process: &ProcessName, among: &[ProcessName]) {
        let came_after = |one: &&ProcessName| *one != process && self.former.comes_after(one, process);
        let first = self.former.sorted(among.iter().filter(came_after).cloned());
        for one in first.iter().rev().chain([process]) {
            if !self.stopped.insert(one.clone()) {
                continue;
            }
            if !is_singleton(self.settings, one) {
                plan.step(Switch, ProtectLive(one.clone()));
            }
            if plan.stalled.contains(one) {
                plan.step(Switch, Stall(one.clone()));
            }
            if plan.drained.contains(one) {
                plan.step(Switch, DrainLive(one.clone()));
            } else {
                plan.step(Switch, StopLive(one.clone()));
            }
        }
    }
}

/// See [`super::candidates`].
pub(super) fn candidates(settings: &Settings, live: &Live) -> Vec<ProcessName> {
    start_first::candidates(settings, &Order::of(settings).serving, live)
}

fn is_singleton(settings: &Settings, process: &ProcessName) -> bool {
    settings.processes.get(process).is_some_and(|its| its.singleton)
}

/// The processes in the order in which they are swapped.
struct Order {
    /// Those with published ports, each after what it comes after: what answers clients is first, so that their gap is short.
    serving: Vec<ProcessName>,
    /// The others. Whose stop may take long comes last, so that it holds up no gate.
    others: Vec<ProcessName>,
}

impl Order {
    fn of(settings: &Settings) -> Self {
        let publishes = |process: &&ProcessName| !settings.processes[*process].publish.is_empty();
        let (mut serving, mut rest): (Vec<_>, Vec<_>) = settings.processes.keys().partition(publishes);
        rest.sort_by_key(|process| settings.processes[*process].workload.stop_timeout);
        let needed = |name: &ProcessName| serving.iter().any(|one| settings.after.comes_after(one, name));
        let (first, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|name| needed(name));
        serving.extend(first);
        let sorted = |names: Vec<&ProcessName>| settings.after.sorted(names.into_iter().cloned());
        Self { serving: sorted(serving), others: sorted(rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::docker::Container;
    use crate::journal::PlannedItem;

    /// The steps of the switch for these processes and what is said of them.
    fn switch(processes: &str) -> Vec<String> {
        switch_from("[process.web]", processes, &[])
    }

    /// The same, where these processes are live, and of those, these leave, with a port or without.
    fn switch_from(live: &str, processes: &str, leave: &[(&str, bool)]) -> Vec<String> {
        let settings = |processes: &str| {
            let text = format!("app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n{processes}");
            crate::config::parse_in(std::path::Path::new("/nowhere"), &text, "handover.toml").unwrap()
        };
        let leaving = |(name, has_port): &(&str, bool)| {
            let bindings = serde_json::json!({ "80/tcp": [{ "HostIp": "", "HostPort": "80" }] });
            let bindings = if *has_port { bindings } else { serde_json::Value::Null };
            let inspect = serde_json::json!({ "HostConfig": { "PortBindings": bindings } });
            (name.parse().unwrap(), Container::of(serde_json::from_value(inspect).unwrap()))
        };
        let leaving: Live = leave.iter().map(leaving).collect();
        let (former, settings) = (settings(live).after, settings(processes));
        let steps = plan(&settings, &leaving, &former).into_iter().filter(|planned| planned.phase == Switch);
        let name = |planned: Planned| match planned.item {
            PlannedItem::Step { step, .. } => step,
            _ => "commit".to_owned(),
        };
        let names = steps.map(name);
        names.filter(|name| !name.starts_with("recheck") && !name.starts_with("protect")).collect()
    }

    #[test]
    fn what_comes_after_another_is_stopped_before_it_and_started_behind_it() {
        let text = "[process.web]\n[process.front]\npublish = ['80:80']\norder = 'stop-first'\nafter = ['web']\n\
                    [process.worker]\nafter = ['web']\n[process.admin]\npublish = ['81:81']\norder = 'stop-first'\n";
        assert_eq!(
            switch(text),
            [
                "stop-live admin",
                "start-new admin",
                "gate admin",
                "stop-live front",
                "stop-live web",
                "start-new web",
                "gate web",
                "start-new front",
                "gate front",
                "stop-live worker",
                "start-new worker",
                "gate worker",
            ]
        );
    }

    /// The order in which live is stopped: the way back is the other way round.
    fn stops(live: &str, processes: &str, leave: &[(&str, bool)]) -> String {
        let steps = switch_from(live, processes, leave);
        let stopped: Vec<&str> = steps.iter().filter_map(|step| step.strip_prefix("stop-live ")).collect();
        stopped.join(" ")
    }

    #[test]
    fn the_way_back_goes_by_what_live_says_of_itself() {
        let port = |name: &str, number: u16| {
            format!("[process.{name}]\npublish = ['{number}:80']\norder = 'stop-first'\n")
        };
        let after = |after: &str| format!("after = ['{after}']\n");
        let web = "[process.web]\n".to_owned();
        // Of two that leave, the front server is stopped first, whatever they are called.
        let live = format!("{web}{}[process.a-backend]\n{}", port("z-front", 80), "");
        let live =
            live.replace("order = 'stop-first'\n", &format!("order = 'stop-first'\n{}", after("a-backend")));
        assert_eq!(stops(&live, &web, &[("a-backend", true), ("z-front", true)]), "z-front a-backend web");
        assert_eq!(stops(&live, &web, &[("a-backend", false), ("z-front", false)]), "z-front a-backend web");
        // One that leaves goes behind one that stays and has needed it.
        let live = format!("{web}{}{}{}", port("api", 81), port("front", 80), after("api"));
        assert_eq!(stops(&live, &format!("{web}{}", port("front", 80)), &[("api", true)]), "front api web");
        // Two that stay, of which the new release does not say it any more.
        let new = format!("{web}{}{}", port("api", 81), port("front", 80));
        assert_eq!(stops(&live, &new, &[]), "front api web");
        // But nothing that answers clients waits for what does not.
        let live = format!("{}[process.worker]\n{}", port("web", 80), after("web"));
        assert_eq!(stops(&live, &live, &[]), "web worker");
    }
}
