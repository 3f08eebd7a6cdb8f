//! Starting and ending containers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    answer::{Reply, Until, Wait, refuse},
    container::{Container, Shown, Status},
    host_port::HostPort,
    image::Behaviour,
    ports::{self, Published},
    serving::{Answering, Listeners},
    world::{World, hex64, next_address},
};

/// Beginning of the range from which the Engine picks host ports.
const EPHEMERAL: u16 = 49153;
/// How many seconds a stop leaves a container that says nothing itself.
const STOP_TIMEOUT: i64 = 10;
/// How many taken loopback addresses are passed over.
const ATTEMPTS: usize = 64;

impl World {
    /// Starts a container that does not run, by a call.
    pub(crate) fn start(&mut self, at: usize) -> Result<(), Reply> {
        self.containers[at].binds.iter().try_for_each(crate::container::Bind::check)?;
        self.containers[at].restart_count = 0;
        self.launch(at)
    }

    /// Starts a container: the part that a boot shares with a call.
    pub(crate) fn launch(&mut self, at: usize) -> Result<(), Reply> {
        match self.network_of(&self.containers[at]) {
            Ok(id) => self.containers[at].network_id = id,
            Err(why) => return Err(self.fails(at, 404, 128, &why)),
        }
        match self.others_of(&self.containers[at]) {
            Ok(ids) => self.containers[at].others.iter_mut().zip(ids).for_each(|(on, id)| on.id = Some(id)),
            Err(why) => return Err(self.fails(at, 404, 128, &why)),
        }
        let serial = self.next();
        self.containers[at].endpoint = hex64((serial, "endpoint"));
        let published = self.publish(at)?;
        if self.containers[at].behaviour == Behaviour::EntrypointMissing {
            let program = self.containers[at].argv[0].clone();
            let message = format!(
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start \
                 container process: exec: \"{program}\": stat {program}: no such file or directory: unknown"
            );
            return Err(self.fails(at, 400, 127, &message));
        }
        self.containers[at].probes = Arc::default();
        let (address, listeners) = self.listen(at, &published)?;
        let pid = 1000 + self.next();
        let one = &mut self.containers[at];
        one.status = Status::Running;
        one.exit_code = 0;
        one.error.clear();
        one.oom_killed = false;
        one.stopped_by_hand = false;
        one.started_before = true;
        one.started_at = Some(Timestamp::now());
        one.pid = pid;
        one.address = address;
        let unpublished = |port: &&String| !published.iter().any(|one| one.port == **port);
        one.shown = Shown {
            address,
            ports: published.clone(),
            inside: one.exposed.iter().filter(unpublished).filter(|_| address.is_some()).cloned().collect(),
        };
        one.published = published;
        one.listeners = Some(listeners);
        one.log.extend(one.start_logs.iter().cloned());
        if let Behaviour::ExitsAtOnce(code) = one.behaviour {
            self.ends_by_itself(at, code);
        }
        self.changed();
        Ok(())
    }

    /// Notes a failed start like the Engine: an exit code that is there already stays, unless it got as far as the
    /// program (127).
    pub(crate) fn fails(&mut self, at: usize, status: u16, code: i64, message: &str) -> Reply {
        let one = &mut self.containers[at];
        message.clone_into(&mut one.error);
        one.shown = Shown::default();
        if one.exit_code == 0 || code == 127 {
            one.exit_code = code;
        }
        refuse(status, message)
    }

    /// The host ports it gets, or the refusal when one is taken. Without EXPOSE nothing is published.
    fn publish(&mut self, at: usize) -> Result<Vec<Published>, Reply> {
        let one = &self.containers[at];
        if !one.on_bridge() {
            return Ok(Vec::new());
        }
        let taken: Vec<_> = self.containers.iter().flat_map(|c| c.published.iter()).collect();
        let mut published = Vec::<Published>::new();
        for binding in one.bindings.iter().filter(|b| one.exposed.contains(&b.port)) {
            let held = match binding.host_port {
                None if self.real_host_ports => HostPort::take().ok().map(Arc::new),
                _ => None,
            };
            let picked = held.as_ref().map_or(EPHEMERAL, |held| held.number());
            let mut wish = Published {
                port: binding.port.clone(),
                host_ip: binding.host_ip.clone(),
                host_port: binding.host_port.unwrap_or(picked),
                _held: held,
            };
            let clash = |wish: &Published| {
                taken.iter().any(|t| t.clashes(wish)) || published.iter().any(|p| p.clashes(wish))
            };
            while binding.host_port.is_none() && clash(&wish) {
                wish.host_port += 1;
            }
            if clash(&wish) {
                let (ip, port) = (wish.host_address(), wish.host_port);
                let same = |other: &Published| other.clashes(&wish) && other.host_address() == ip;
                // The Engine's books have an address each; that another one is in the way only the kernel says.
                let why = if taken.iter().any(|one| same(one)) || published.iter().any(same) {
                    format!("Bind for {ip}:{port} failed: port is already allocated")
                } else {
                    in_use(ip, port)
                };
                let message = connectivity(one, &why);
                return Err(self.fails(at, 500, 128, &message));
            }
            published.push(wish);
        }
        Ok(published)
    }

    /// Opens the real sockets.
    fn listen(&mut self, at: usize, published: &[Published]) -> Result<(Option<Ipv4Addr>, Listeners), Reply> {
        let one = &self.containers[at];
        let answering = Answering {
            behaviour: Arc::new(Mutex::new(one.behaviour.clone())),
            digest: one.digest.clone(),
            probes: Arc::clone(&one.probes),
            container: one.id.clone(),
            shared: self.shared.clone(),
        };
        let silent = matches!(one.behaviour, Behaviour::NeverListens | Behaviour::ExitsAtOnce(_));
        let tcp = |port: &&String| port.ends_with("/tcp") && !silent;
        let inside: Vec<u16> = one.exposed.iter().filter(tcp).map(|port| ports::number(port)).collect();
        let mut listeners = Listeners::default();
        if self.real_host_ports && !silent {
            // A host-network container is reachable on its own ports, a published one on those.
            let outside: Vec<u16> = if one.network == "host" {
                inside.clone()
            } else {
                published.iter().filter(|p| p.port.ends_with("/tcp")).map(|p| p.host_port).collect()
            };
            for port in outside {
                let socket = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                if listeners.add(socket, answering.clone()).is_err() {
                    let message = connectivity(&self.containers[at], &in_use("0.0.0.0", port));
                    return Err(self.fails(at, 500, 128, &message));
                }
            }
        }
        if !self.containers[at].on_bridge() {
            return Ok((None, listeners));
        }
        for _ in 0..ATTEMPTS {
            let ip = next_address();
            let mut own = Listeners::default();
            let bind = |port: &u16| own.add((ip, *port).into(), answering.clone());
            if inside.iter().try_for_each(bind).is_ok() && own.reserve(ip).is_ok() {
                listeners.join(own);
                return Ok((Some(ip), listeners));
            }
        }
        Err(crate::answer::complain(500, "no loopback address is free for the container"))
    }

    /// The process is gone; what happens next is not decided here.
    pub(crate) fn end(&mut self, at: usize, code: i64) {
        let one = &mut self.containers[at];
        one.status = Status::Exited;
        one.exit_code = code;
        one.finished_at = Some(Timestamp::now());
        one.exits += 1;
        one.pid = 0;
        one.address = None;
        one.published.clear();
        one.shown = Shown::default();
        one.listeners = None;
        self.changed();
    }

    /// The process ended of its own: the restart policy decides.
    pub(crate) fn ends_by_itself(&mut self, at: usize, code: i64) {
        self.end(at, code);
        let one = &mut self.containers[at];
        if !one.policy.restarts(code, one.stopped_by_hand, one.restart_count) {
            return;
        }
        one.restart_count += 1;
        if !matches!(one.behaviour, Behaviour::ExitsAtOnce(_)) {
            // A refused restart leaves it ended with the error noted, like the Engine.
            let _ = self.launch(at);
        } else if one.policy.name == "on-failure" && one.policy.retries > 0 {
            one.restart_count = one.policy.retries;
        } else {
            one.status = Status::Restarting;
        }
    }

    /// Stops a running container by a call. One that is deaf to its stop signal is killed after so many seconds; what
    /// to wait for until then. That goes on without the client: the Engine does not mind that it has gone.
    pub(crate) fn stop(&mut self, at: usize, seconds: Option<i64>) -> Option<Wait> {
        let signal = self.containers[at].stop_signal().to_owned();
        self.signalled(at, if signal.is_empty() { "TERM" } else { &signal });
        let one = &mut self.containers[at];
        one.stopped_by_hand = true;
        if one.status != Status::Running || one.code_of_signal("TERM").is_some() {
            let code = one.code_of_stop();
            self.end(at, code);
            return None;
        }
        let own = one.config.get("StopTimeout").and_then(serde_json::Value::as_i64);
        let seconds = seconds.or(own).unwrap_or(STOP_TIMEOUT);
        let (container, run) = (one.id.clone(), one.exits);
        // With less than nothing it would wait for ever.
        if let (Ok(seconds), shared) = (u64::try_from(seconds), self.shared.clone()) {
            let container = container.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                if let Some(shared) = shared.upgrade() {
                    shared.is_killed(&container, run);
                }
            });
        }
        Some(Wait { container, until: Until::NextExit(run) })
    }

    /// Tells whoever waits that something changed.
    pub(crate) fn changed(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.changed.send_modify(|n| *n += 1);
        }
    }
}

impl Container {
    /// The exit code after TERM and, if that is not heard, KILL.
    pub(crate) fn code_of_stop(&self) -> i64 {
        match (self.status, &self.behaviour) {
            (Status::Restarting, _) => self.exit_code,
            (_, Behaviour::IgnoresTerm) => 137,
            _ => 0,
        }
    }

    /// The exit code after this signal, or `None` when the process lives on.
    pub(crate) fn code_of_signal(&self, signal: &str) -> Option<i64> {
        match signal {
            "KILL" => Some(137),
            "TERM" | "INT" | "QUIT" => (self.behaviour != Behaviour::IgnoresTerm).then_some(0),
            "ABRT" => Some(134),
            _ => None,
        }
    }

    /// Probes answered in this run.
    pub(crate) fn probes_seen(&self) -> usize {
        self.probes.load(Ordering::Relaxed)
    }
}

fn in_use(ip: &str, port: u16) -> String {
    format!("Error starting userland proxy: listen tcp4 {ip}:{port}: bind: address already in use")
}

fn connectivity(one: &Container, why: &str) -> String {
    format!(
        "driver failed programming external connectivity on endpoint {} ({}): {why}",
        one.name, one.endpoint
    )
}

/// A signal's number and short name, from any of the Engine's spellings.
pub(crate) fn known_signal(text: &str) -> Option<(&'static str, &'static str)> {
    const KNOWN: [(&str, &str); 10] = [
        ("1", "HUP"),
        ("2", "INT"),
        ("3", "QUIT"),
        ("6", "ABRT"),
        ("9", "KILL"),
        ("10", "USR1"),
        ("12", "USR2"),
        ("15", "TERM"),
        ("18", "CONT"),
        ("28", "WINCH"),
    ];
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    KNOWN.iter().find(|(number, name)| *number == short || *name == short).copied()
}
