//! How the rules of an app are told from everybody else's.

use crate::digest;
use crate::model::AppName;

/// The longest name of a chain, in bytes (`XT_EXTENSION_MAXNAMELEN` of the kernel is 29, with its end).
const LONGEST_CHAIN: usize = 28;
const PREFIX: &str = "HANDOVER-";

/// Whose rules they are. It stands in a comment of each rule through which packets come in.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct Mark<'a> {
    /// The app.
    pub(in crate::host) app: &'a AppName,
    /// The id of the deployment.
    pub(in crate::host) deployment: &'a str,
}

impl Mark<'_> {
    /// The comment: `handover status-page d-XXXXXXXXX`.
    pub(in crate::host) fn comment(&self) -> String {
        // What ends a quoted word, or a line, can be in no id of CodeDeploy, and must not be in a rule.
        let plain = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '\'');
        let deployment: String = self.deployment.chars().filter(plain).take(100).collect();
        format!("handover {} {deployment}", self.app)
    }

    /// The deployment in a rule with such a comment.
    pub(in crate::host) fn deployment_in(rule: &str) -> Option<&str> {
        let (_, comment) = rule.split_once("--comment \"handover ")?;
        comment.split_once('"')?.0.split_once(' ').map(|(_, deployment)| deployment)
    }
}

/// The chain of an app: by its name, or by the beginning of it and a digest where it is too long.
pub(super) fn chain(app: &AppName) -> String {
    let app = app.to_string();
    let room = LONGEST_CHAIN - PREFIX.len();
    if app.len() <= room {
        return format!("{PREFIX}{app}");
    }
    let digest = digest::sha256(app.as_bytes());
    let (digest, room) = (&digest[..8], room - 9);
    format!("{PREFIX}{}-{digest}", &app[..room])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_room_for_every_name() {
        let chain_of = |name: &str| chain(&name.parse().unwrap());
        assert_eq!(chain_of("status-page"), "HANDOVER-status-page");
        let (a, b) = (chain_of("an-application-of-a-long-name"), chain_of("an-application-of-a-long-word"));
        assert_eq!(a.len(), LONGEST_CHAIN);
        assert!(a.starts_with("HANDOVER-an-applica-") && a != b, "{a} {b}");
    }

    #[test]
    fn a_deployment_is_read_from_what_was_written() {
        let app = "status-page".parse().unwrap();
        let mark = Mark { app: &app, deployment: "d-\"1\n23" };
        assert_eq!(mark.comment(), "handover status-page d-123");
        let rule =
            format!("-A OUTPUT -p tcp -m comment --comment \"{}\" -j HANDOVER-status-page", mark.comment());
        assert_eq!(Mark::deployment_in(&rule), Some("d-123"));
        assert_eq!(Mark::deployment_in("-A OUTPUT -j HANDOVER-status-page"), None);
    }
}
