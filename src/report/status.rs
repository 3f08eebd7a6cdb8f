//! What is serving, what is parked, what is under way: `handover status`.

use jiff::Timestamp;
use serde::Serialize;

use super::tail;
use crate::host::Host;
use crate::host::docker::{Container, DockerError};
use crate::journal::{Direction, Ended, Finding, History, Journal, Lock};
use crate::release::AppName;
use crate::state::Releases;

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
    /// The run in progress, or the last one.
    pub run: Option<RunStatus>,
    /// What is wrong with what is kept about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// One container.
#[derive(Debug, Serialize)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// `live`, or `candidate` or `parked`.
    pub role: &'static str,
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
    /// `deployed`, `unchanged`, `reverted`, `running`, `waiting` or `interrupted`.
    pub state: &'static str,
    /// The process at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Why it was turned back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What has to be mended, where that is known one by one.
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
    let state = host.paths.app(&app);
    let (run, damage) = match Journal::read(&state) {
        Ok(history) => (history.and_then(|history| run_status(&history, host, &app)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let releases = Releases::of(&state);
    let group = releases.last_good().and_then(|record| record.group);
    let unproven = releases.records().into_iter().filter(|r| r.verdict == crate::state::Verdict::Unproven);
    let unproven: Vec<u64> = unproven.map(|record| record.release.0).collect();
    let mut containers: Vec<ContainerStatus> = containers
        .iter()
        .filter(|c| c.labels.as_ref().is_some_and(|labels| labels.app == app))
        .filter_map(|c| container_status(c, &unproven))
        .collect();
    containers.sort_by_key(|c| (c.role != "live", std::cmp::Reverse(c.release)));
    Status { format: STATUS_FORMAT, app, group, containers, run, damage }
}

fn container_status(container: &Container, unproven: &[u64]) -> Option<ContainerStatus> {
    let labels = container.labels.as_ref()?;
    let role = if container.is_live() {
        "live"
    } else if unproven.contains(&labels.release.0) {
        "candidate"
    } else {
        "parked"
    };
    let state = match container {
        Container { running: true, .. } => "running".to_owned(),
        Container { restarting: true, .. } => "restarting".to_owned(),
        // Docker's zero time: it was never started.
        Container { started_at, .. } if started_at.starts_with("0001-") => "created".to_owned(),
        Container { exit_code, .. } => format!("exited ({exit_code})"),
    };
    Some(ContainerStatus {
        name: container.name.clone(),
        role,
        process: labels.process.to_string(),
        release: labels.release.0,
        deployment: labels.deployment.to_string(),
        image: container.image.clone(),
        state,
        started_at: container.started_at.clone(),
        restart_policy: container.restart_policy.to_string(),
    })
}

fn run_status(history: &History, host: &Host, app: &AppName) -> Option<RunStatus> {
    let header = history.header()?;
    let holder = Lock::holder(&host.paths.lock, app).filter(crate::journal::Holder::is_alive);
    let state = match history.ended() {
        Some(Ended::Deployed) => "deployed",
        Some(Ended::Unchanged) => "unchanged",
        Some(Ended::Reverted { .. }) => "reverted",
        None if holder.is_some() => "running",
        None if history.is_waiting() => "waiting",
        None => "interrupted",
    };
    let (cause, findings) = match history.direction() {
        Direction::Backward { cause, findings, .. } => (Some(cause.clone()), findings.clone()),
        Direction::Forward => (None, vec![]),
    };
    Some(RunStatus {
        deployment: header.deployment.to_string(),
        release: header.release.0,
        began: header.began,
        state,
        pid: holder.map(|h| h.pid),
        cause,
        findings,
    })
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
                c.role.to_owned(),
                format!("r{}", c.release),
                digest.chars().take(19).collect(),
                c.state.clone(),
                if c.state == "running" { since.to_owned() } else { String::new() },
                c.restart_policy.clone(),
            ]);
        }
        let title = match &app.group {
            Some(group) => format!("{}, group {}", app.app, crate::report::text::clean(group)),
            None => app.app.to_string(),
        };
        parts.push(if app.containers.is_empty() {
            format!("{title}: no containers")
        } else {
            format!("{title}\n{}", table.trim_fmt())
        });
        if let Some(run) = &app.run {
            parts.push(format!(
                "last run: deployment {} (r{}), begun {}: {}",
                run.deployment,
                run.release,
                run.began.strftime("%Y-%m-%d %H:%M:%S UTC"),
                run.state,
            ));
            // A single finding is the cause, and says it with its way out.
            let cause = run.cause.as_ref().filter(|_| run.findings.len() != 1);
            parts.extend(cause.map(|cause| format!("  why: {cause}")));
            parts.extend(tail::of_findings(&run.findings).iter().map(|line| format!("  {line}")));
            if run.state == "interrupted" {
                parts.push("next: handover recover".to_owned());
            }
        }
        parts.extend(app.damage.as_ref().map(|damage| format!("DAMAGED: {damage}")));
    }
    parts.join("\n")
}
