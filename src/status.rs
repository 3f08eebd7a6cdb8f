//! What is serving, what is parked, what is under way: `handover status`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::deploy::{WAITS_TOO_LONG, drift, serving};
use crate::host::Host;
use crate::host::docker::labels::Kind;
use crate::host::docker::{BoundPort, Container, DockerError};
use crate::journal::{Direction, History, Journal, Lock};
use crate::model::{AppName, Finding, ProcessName, ReleaseNumber};
use crate::report::{Outcome, tail};
use crate::state::{LastLook, Looked, Releases, Verdict};
use crate::text::{clean, duration};

/// The format of `handover status --json`.
pub const STATUS_FORMAT: u32 = 1;

/// One app on this instance.
#[derive(Debug, Serialize)]
pub struct Status {
    /// [`STATUS_FORMAT`].
    pub format: u32,
    /// The app.
    pub app: AppName,
    /// The deployment group of the last good release: the one that operators' commands take when they name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its containers: live ones first.
    pub containers: Vec<ContainerStatus>,
    /// Its services, which belong to no release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceStatus>,
    /// The run in progress, or the last one.
    pub run: Option<RunStatus>,
    /// Whether a healthy release serves, as far as is known: it runs, and passed the last gate that looked at it.
    pub serving: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sick: Vec<String>,
    /// When somebody last looked whether its secrets have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked: Option<Looked>,
    /// What differs between what is live and what is recorded of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// The command to type next, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What is wrong with what is kept about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// One container.
#[derive(Debug, Serialize)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// `live`, `candidate` or `parked`; of another kind than one that serves, that kind.
    pub role: String,
    /// Its process.
    pub process: String,
    /// Its release.
    pub release: u64,
    /// The deployment that made it.
    pub deployment: String,
    /// `repository@sha256:…`.
    pub image: String,
    /// `running`, `restarting`, `created` or `exited (CODE)`.
    pub state: String,
    /// When it was started last.
    pub started_at: String,
    /// What happens at a boot.
    pub restart_policy: String,
    /// Its ports that Docker has picked a port of the host for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub picked_ports: Vec<BoundPort>,
}

/// One service.
#[derive(Debug, Serialize)]
pub struct ServiceStatus {
    /// Its name in the configuration.
    pub service: String,
    /// The name of its container.
    pub name: String,
    /// `repository@sha256:…`.
    pub image: String,
    /// As that of other containers.
    pub state: String,
    /// When it was started last.
    pub started_at: String,
    /// What happens at a boot.
    pub restart_policy: String,
    /// Whether the last good release's configuration still has it, as far as is known.
    pub configured: bool,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct RunStatus {
    /// Its deployment.
    pub deployment: String,
    /// The release that it makes or made.
    pub release: u64,
    /// When it began.
    pub began: Timestamp,
    /// `deployed`, `unchanged`, `reverted`, `unknown`, `running`, `waiting` or `interrupted`.
    pub state: &'static str,
    /// Since when it waits, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_s: Option<u64>,
    /// The process at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Why it was turned back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What has to be fixed, where that is known one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// Every app that has a state folder or a container here.
pub async fn of_all(host: &Host) -> Result<Vec<Status>, DockerError> {
    let containers = host.docker.all_ours().await?;
    let mut apps: Vec<AppName> =
        containers.iter().filter_map(|c| c.labels.as_ref().map(|labels| labels.app.clone())).collect();
    apps.extend(host.paths.apps());
    apps.sort();
    apps.dedup();
    Ok(apps.into_iter().map(|app| of(host, app, &containers)).collect())
}

fn of(host: &Host, app: AppName, containers: &[Container]) -> Status {
    let releases = Releases::of(&host.paths.app(&app));
    let (history, damage) = match Journal::read(releases.dir()) {
        Ok(history) => (history, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let run = history.as_ref().and_then(|history| run_status(history, host, &app));
    let last_good = releases.last_good();
    let unproven = releases.records().into_iter().filter(|r| r.verdict == Verdict::Unproven);
    let unproven: Vec<u64> = unproven.map(|record| record.release.0).collect();
    let ours = containers.iter().filter(|c| c.labels.as_ref().is_some_and(|labels| labels.app == app));
    let (services, ours): (Vec<Container>, Vec<Container>) = ours.cloned().partition(Container::is_service);
    let config = last_good.as_ref().and_then(|record| releases.config(record.release).ok().flatten());
    let services = services.iter().filter_map(|service| service_status(service, config.as_ref())).collect();
    let mut listed: Vec<ContainerStatus> =
        ours.iter().filter_map(|container| container_status(container, &ours, &unproven)).collect();
    listed.sort_by_key(|c| (c.role != "live", std::cmp::Reverse(c.release)));
    let is_over = history.as_ref().is_none_or(|history| history.ended().is_some());
    let sick = history.as_ref().map(|history| history.sick().to_vec()).unwrap_or_default();
    let serving = serving::everything_runs(&ours) && sick.is_empty();
    let remedy = serving::remedy(&app, &ours, last_good.is_some());
    let drift = if is_over { drift_of(&ours, &releases) } else { vec![] };
    let next = match &run {
        Some(run) if run.state == "interrupted" => Some("handover recover".to_owned()),
        Some(run) if run.state == "running" => None,
        Some(RunStatus { waiting_s: Some(seconds), .. }) if *seconds >= WAITS_TOO_LONG.as_secs() => {
            Some(format!("handover recover --abandon --app {app}"))
        }
        Some(run) if run.state == "waiting" => None,
        _ if is_over && !serving && sick.is_empty() => remedy,
        _ if is_over && !serving => Some(remedy.unwrap_or_else(|| {
            let live = listed.iter().find(|container| container.role == "live");
            let name = live.map_or_else(|| app.to_string(), |live| live.name.clone());
            format!("docker logs --tail 50 {name}")
        })),
        _ if is_over && !drift.is_empty() => Some(format!("handover deploy --app {app}")),
        _ => None,
    };
    let looked = LastLook::of(&host.paths.app(&app)).read();
    let group = last_good.and_then(|record| record.group);
    Status {
        format: STATUS_FORMAT,
        app,
        group,
        containers: listed,
        services,
        run,
        serving,
        sick,
        looked,
        drift,
        next,
        damage,
    }
}

/// What differs between the live containers of a release and its record.
fn drift_of(containers: &[Container], releases: &Releases) -> Vec<String> {
    let mut by_release: BTreeMap<ReleaseNumber, Vec<(&ProcessName, &Container)>> = BTreeMap::new();
    for container in containers.iter().filter(|container| serving::is_live_among(containers, container)) {
        if let Some(labels) = &container.labels {
            by_release.entry(labels.release).or_default().push((&labels.process, container));
        }
    }
    let of = |(release, live)| {
        let record = releases.record(release).ok().flatten().filter(|record| record.verdict == Verdict::Good);
        record.map(|record| drift::of(live, &record, releases)).unwrap_or_default()
    };
    by_release.into_iter().flat_map(of).collect()
}

fn container_status(container: &Container, all: &[Container], unproven: &[u64]) -> Option<ContainerStatus> {
    let labels = container.labels.as_ref()?;
    let role = match &labels.kind {
        Kind::Serve if serving::is_live_among(all, container) => "live".to_owned(),
        Kind::Serve if unproven.contains(&labels.release.0) => "candidate".to_owned(),
        Kind::Serve => "parked".to_owned(),
        Kind::Bridge => "candidate".to_owned(),
        kind => kind.to_string(),
    };
    Some(ContainerStatus {
        name: container.name.clone(),
        role,
        process: labels.process.to_string(),
        release: labels.release.0,
        deployment: labels.deployment.to_string(),
        image: container.image.clone(),
        state: state(container),
        started_at: container.started_at.clone(),
        restart_policy: container.restart_policy.to_string(),
        picked_ports: container.picked_ports(),
    })
}

fn service_status(container: &Container, config: Option<&Config>) -> Option<ServiceStatus> {
    let service = &container.labels.as_ref()?.process;
    Some(ServiceStatus {
        service: service.to_string(),
        name: container.name.clone(),
        image: container.image.clone(),
        state: state(container),
        started_at: container.started_at.clone(),
        restart_policy: container.restart_policy.to_string(),
        configured: config.is_none_or(|config| config.settings.services.contains_key(service)),
    })
}

fn state(container: &Container) -> String {
    match container {
        Container { running: true, .. } => "running".to_owned(),
        Container { restarting: true, .. } => "restarting".to_owned(),
        // Docker's zero time: it was never started.
        Container { started_at, .. } if started_at.starts_with("0001-") => "created".to_owned(),
        Container { exit_code, .. } => format!("exited ({exit_code})"),
    }
}

fn run_status(history: &History, host: &Host, app: &AppName) -> Option<RunStatus> {
    let header = history.header()?;
    let holder = Lock::holder(&host.paths.lock, app).filter(crate::journal::Holder::is_alive);
    let state = match history.ended() {
        Some(ended) => Outcome::of(ended).word(),
        None if holder.is_some() => "running",
        None if history.waiting_since().is_some() => "waiting",
        None => "interrupted",
    };
    let waiting = history.waiting_since().filter(|_| state == "waiting");
    let waiting = waiting.map(|since| Timestamp::now().duration_since(since).as_secs());
    let (cause, findings) = match history.direction() {
        Direction::Backward(failure) => (Some(failure.to_string()), failure.findings.clone()),
        Direction::Forward => (history.stuck().map(ToString::to_string), vec![]),
    };
    Some(RunStatus {
        deployment: header.deployment.to_string(),
        release: header.release.0,
        began: header.began,
        state,
        waiting_s: waiting.map(|seconds| u64::try_from(seconds).unwrap_or_default()),
        pid: holder.map(|h| h.pid),
        cause,
        findings,
    })
}

impl ServiceStatus {
    fn line(&self) -> String {
        let Self { service, name, state, restart_policy, .. } = self;
        let since = match self.started_at.split('.').next() {
            Some(since) if state == "running" => format!(" since {since}"),
            _ => String::new(),
        };
        let left = if self.configured {
            String::new()
        } else {
            format!("; the configuration no longer has it: docker rm -f {name}, when nobody needs it")
        };
        format!("service {service}: {name}, {state}{since}, at a boot {restart_policy}{left}")
    }
}

/// The human form.
pub fn text(apps: &[Status]) -> String {
    use comfy_table::{ContentArrangement, Table, presets};
    if apps.is_empty() {
        return "nothing has been deployed here".to_owned();
    }
    let mut parts = Vec::new();
    for app in apps {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["CONTAINER", "ROLE", "RELEASE", "IMAGE", "STATE", "SINCE", "AT A BOOT"]);
        for c in &app.containers {
            let digest = c.image.rsplit_once('@').map_or(c.image.as_str(), |(_, digest)| digest);
            let since = c.started_at.split('.').next().unwrap_or_default();
            table.add_row([
                c.name.clone(),
                c.role.clone(),
                format!("r{}", c.release),
                digest.chars().take(19).collect(),
                c.state.clone(),
                if c.state == "running" { since.to_owned() } else { String::new() },
                c.restart_policy.clone(),
            ]);
        }
        let title = match &app.group {
            Some(group) => format!("{}, group {}", app.app, clean(group)),
            None => app.app.to_string(),
        };
        parts.push(if app.containers.is_empty() {
            format!("{title}: no containers")
        } else {
            format!("{title}\n{}", table.trim_fmt())
        });
        for c in &app.containers {
            parts.extend(c.picked_ports.iter().map(|port| format!("{}: port {port} of the host", c.name)));
        }
        parts.extend(app.services.iter().map(ServiceStatus::line));
        if let Some(run) = &app.run {
            let waiting = run.waiting_s.map(|seconds| {
                format!(
                    " for the next hook, for {} so far",
                    duration(std::time::Duration::from_secs(seconds))
                )
            });
            parts.push(format!(
                "last run: deployment {} (r{}), begun {}: {}{}",
                run.deployment,
                run.release,
                run.began.strftime("%Y-%m-%d %H:%M:%S UTC"),
                run.state,
                waiting.unwrap_or_default(),
            ));
            if run.waiting_s.is_some_and(|seconds| seconds >= WAITS_TOO_LONG.as_secs()) {
                parts.push("  CodeDeploy has given it up by now: no hook comes any more".to_owned());
            }
            // A single finding is the cause, and says it with its fix.
            let cause = run.cause.as_ref().filter(|_| run.findings.len() != 1);
            parts.extend(cause.map(|cause| format!("  why: {cause}")));
            parts.extend(tail::of_findings(&run.findings).iter().map(|line| format!("  {line}")));
        }
        parts.extend(app.drift.iter().map(|what| format!("drift: {}", clean(what))));
        if let Some(looked) = &app.looked {
            let at = looked.at.strftime("%Y-%m-%d %H:%M UTC");
            parts.push(format!("secrets, looked at {at}: {}", clean(&looked.words())));
        }
        if !app.serving {
            parts.push(format!("NOTHING healthy of {} is serving", app.app));
            parts.extend(app.sick.iter().map(|why| format!("  {why}")));
        }
        parts.extend(app.next.as_ref().map(|next| format!("next: {next}")));
        parts.extend(app.damage.as_ref().map(|damage| format!("DAMAGED: {damage}")));
    }
    parts.join("\n")
}
