//! The first process in a set of namespaces: it makes them what the plan says, starts the services, reaps, and
//! starts and stops services when asked. When it ends, everything in the namespaces ends: that is the power cut.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, wait, waitid};

use crate::control::{Answer, Ask};
use crate::http::{Request, over_unix};
use crate::spec::{CONTROL, INSIDE, Ready, Service, Spec};
use crate::wait::wait_until;
use crate::{mounts, text};

/// How long a service may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the plan in this file. It returns only with an error.
pub fn run(plan: &Path) -> Result<()> {
    let folder = plan.parent().context("the plan has no folder")?.to_owned();
    let spec = Spec::read(plan)?;
    if spec.tied {
        thread::spawn(end_with_parent);
    }
    mounts::make(&folder, &spec)?;
    rustix::system::sethostname(spec.hostname.as_bytes())?;
    ip(&spec.network)?;
    let supervisor = Arc::new(Supervisor::new(&spec));
    listen(&supervisor)?;
    if !spec.card.is_empty() {
        wait_until("the network card", PATIENCE, || Ok(Path::new("/proc/sys/net/ipv4/conf/eth0").exists()))?;
        ip(&spec.card)?;
    }
    for service in spec.services.iter().filter(|service| !service.by_hand) {
        supervisor.spawn(&service.name)?;
    }
    supervisor.all_started();
    supervisor.reap()
}

/// Standard input is a pipe whose other end only the raising process holds: its end is ours.
fn end_with_parent() {
    let mut nothing = [0; 64];
    while !matches!(std::io::stdin().read(&mut nothing), Ok(0) | Err(_)) {}
    std::process::exit(0);
}

fn ip(commands: &[String]) -> Result<()> {
    if commands.is_empty() {
        return Ok(());
    }
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("ip")?;
    child.stdin.take().context("ip takes no commands")?.write_all(commands.join("\n").as_bytes())?;
    if !child.wait()?.success() {
        bail!("ip refused one of: {}", commands.join("; "));
    }
    Ok(())
}

/// The services and what is known of them.
struct Supervisor {
    services: HashMap<String, Service>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: HashMap<String, Pid>,
    started: bool,
}

impl Supervisor {
    fn new(spec: &Spec) -> Self {
        let services = spec.services.iter().map(|service| (service.name.clone(), service.clone())).collect();
        Self { services, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn service(&self, name: &str) -> Result<&Service> {
        self.services.get(name).with_context(|| format!("there is no {name} here"))
    }

    fn all_started(&self) {
        self.lock().started = true;
        self.changed.notify_all();
    }

    /// Starts a service that does not run.
    fn spawn(&self, name: &str) -> Result<()> {
        let service = self.service(name)?;
        // Held while the process is made: the reaper must not take the status of one that could not be started.
        let mut state = self.lock();
        if state.running.contains_key(name) {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(log_of(name))?;
        let (program, arguments) = service.command.split_first().context("a service without a command")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(&service.environment).current_dir("/");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // As a unit of systemd: signals to one service's group leave the others alone.
        command.process_group(0);
        if let Some((user, group)) = service.user {
            command.uid(user).gid(group);
        }
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let pid = Pid::from_child(&child);
        state.running.insert(name.to_owned(), pid);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until a running service answers.
    fn answers(&self, service: &Service) -> Result<()> {
        wait_until(&format!("{} answers", service.name), PATIENCE, || {
            if !self.lock().running.contains_key(&service.name) {
                bail!("{} ended", service.name);
            }
            Ok(is_ready(&service.ready))
        })
        .with_context(|| format!("{}: {}", service.name, text::tail(&log_of(&service.name))))
    }

    /// Sends a signal to a service and waits until it is gone.
    fn end(&self, name: &str, signal: Signal) -> Result<()> {
        self.service(name)?;
        let mut state = self.lock();
        let Some(&pid) = state.running.get(name) else { return Ok(()) };
        kill_process(pid, signal)?;
        let deadline = Instant::now() + PATIENCE;
        while state.running.get(name) == Some(&pid) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{name} did not end");
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn obey(&self, ask: &Ask) -> Result<Answer> {
        match ask {
            Ask::Wait => {
                let mut state = self.lock();
                while !state.started {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                drop(state);
                for service in self.services.values().filter(|service| !service.by_hand) {
                    self.answers(service)?;
                }
            }
            Ask::Start(name) => {
                self.spawn(name)?;
                self.answers(self.service(name)?)?;
            }
            Ask::Stop(name) => {
                let signal =
                    Signal::from_named_raw(self.service(name)?.stop_signal).context("no such signal")?;
                self.end(name, signal)?;
            }
            Ask::Kill(name) => self.end(name, Signal::KILL)?,
            Ask::Runs(name) => return Ok(Answer::Runs(self.lock().running.contains_key(name))),
        }
        Ok(Answer::Done)
    }

    /// Takes the status of whatever ends: of services, and of orphans, which all become children of this process.
    fn reap(&self) -> Result<()> {
        loop {
            // Only looks; the status is taken under the lock, see `spawn`.
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CHILD) => {
                    let state = self.lock();
                    drop(self.changed.wait_while(state, |state| state.running.is_empty()));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let mut state = self.lock();
            while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
                state.running.retain(|_, running| *running != pid);
            }
            drop(state);
            self.changed.notify_all();
        }
    }
}

/// Where a service's output goes, seen from inside.
fn log_of(name: &str) -> std::path::PathBuf {
    Path::new(INSIDE).join(format!("{name}.log"))
}

fn is_ready(ready: &Ready) -> bool {
    match ready {
        Ready::Tcp(address) => TcpStream::connect(address).is_ok(),
        Ready::Unix(path) => UnixStream::connect(path).is_ok(),
        Ready::File(path, text) => fs::read_to_string(path).is_ok_and(|content| content.contains(text)),
        Ready::Engine(path) => {
            let ping = Request { method: "GET", host: "docker", path: "/_ping", headers: &[], body: &[] };
            over_unix(path, &ping).is_ok_and(|answer| answer.status == 200)
        }
    }
}

/// Takes commands, each in a thread of its own: waiting for one service must not keep another from being stopped.
fn listen(supervisor: &Arc<Supervisor>) -> Result<()> {
    // Under its name only when it listens: whoever sees it may connect.
    let staged = format!("{CONTROL}.new");
    let listener = UnixListener::bind(&staged)?;
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o600))?;
    fs::rename(staged, CONTROL)?;
    let supervisor = Arc::clone(supervisor);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let supervisor = Arc::clone(&supervisor);
            thread::spawn(move || answer(&supervisor, stream));
        }
    });
    Ok(())
}

fn answer(supervisor: &Supervisor, mut stream: UnixStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let ask: Ask = serde_json::from_str(&line)?;
    let answer = supervisor.obey(&ask).unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    Ok(())
}
