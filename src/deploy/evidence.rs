//! What a container on trial, or a task, has printed: evidence for people, and a log beside the release.

use super::context::{Context, Gathered};
use crate::model::ProcessName;
use crate::text::folded;

/// How many of a container's last lines are shown as evidence.
const EVIDENCE_LINES: usize = 8;

/// How many of them are kept beside the release: the container itself is removed.
const LOG_LINES: usize = 1_000;

/// What a container has printed.
pub(super) struct Printed {
    /// The container's name, if it is still there.
    pub(super) name: Option<String>,
    /// Its last lines. They may contain secrets, which the redactor has learnt.
    pub(super) evidence: Vec<String>,
}

/// Reads what a container has printed last, and keeps it beside the release.
pub(super) async fn printed(
    context: &Context<'_>,
    gathered: &mut Gathered,
    of: &ProcessName,
    id: &str,
) -> Printed {
    let docker = &context.host.docker;
    let log = docker.last_lines(id, LOG_LINES).await;
    let mut name = None;
    if let Ok(Some(container)) = docker.inspect(id).await {
        // What it printed may be its own environment, which another process of ours filled in.
        gathered.learn_what_it_knows(&container, context);
        name = Some(container.name);
    }
    context.keep_log(of, &log, &gathered.redactor);
    let folded = folded(&log);
    Printed { name, evidence: folded[folded.len().saturating_sub(EVIDENCE_LINES)..].to_vec() }
}

/// What to do, by what a container of a process printed; where its own words leave no doubt. Pure.
pub(super) fn advice(process: &ProcessName, printed: &[String], processes: &[&str]) -> Option<String> {
    let upstream = printed.iter().find_map(|line| line.split_once("host not found in upstream \""));
    let name = upstream?.1.split(['"', ':']).next()?;
    // nginx looks names up once, when it starts.
    if processes.contains(&name) {
        return Some(format!(
            "'{name}' has to run before it: write after = [\"{name}\"] in [process.{process}]"
        ));
    }
    Some(format!(
        "a name on the release's network is that of a process ({}): correct '{name}' in the configuration of [process.{process}]",
        processes.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn a_front_server_that_does_not_find_its_upstream_is_told_the_names() {
        let said = |words: &str| {
            advice(&"front".parse().unwrap(), &["starting".to_owned(), words.to_owned()], &["front", "web"])
        };
        let fix = |name: &str| {
            said(&format!("nginx: [emerg] host not found in upstream \"{name}\" in /etc/nginx/nginx.conf:3"))
        };
        assert!(fix("wbe").unwrap().contains("(front, web): correct 'wbe'"));
        assert!(fix("wbe:8000").unwrap().contains("correct 'wbe'"));
        assert!(fix("web").unwrap().contains("after = [\"web\"] in [process.front]"));
        assert_eq!(said("host not found"), None);
    }
}
