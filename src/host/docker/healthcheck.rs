//! The `HEALTHCHECK` of an image, as a command that can be run at any time: the Engine itself runs it for the first time after
//! its interval, 30 s by default.

use std::time::Duration;

use bollard::models::HealthConfig;

/// The command that an image brings to be asked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCommand {
    /// What runs.
    pub argv: Vec<String>,
    /// How long it may take, if the image says so.
    pub timeout: Option<Duration>,
}

impl HealthCommand {
    /// From the configuration of an image or a container; `shell` is the one that it names for commands in one text.
    pub(super) fn of(check: Option<&HealthConfig>, shell: Option<&Vec<String>>) -> Option<Self> {
        let check = check?;
        let argv = match check.test.as_deref()? {
            [kind, argv @ ..] if kind == "CMD" && !argv.is_empty() => argv.to_vec(),
            [kind, script] if kind == "CMD-SHELL" => {
                let own = shell.filter(|shell| !shell.is_empty()).cloned();
                let mut argv = own.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
                argv.push(script.clone());
                argv
            }
            _ => return None,
        };
        let timeout =
            check.timeout.and_then(|timeout| u64::try_from(timeout).ok()).filter(|timeout| *timeout > 0);
        Some(Self { argv, timeout: timeout.map(Duration::from_nanos) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_check_is_a_command_or_none() {
        let of = |test: &[&str], shell: Option<&[&str]>| {
            let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
            let check = HealthConfig {
                test: Some(texts(test)),
                timeout: Some(2_000_000_000),
                ..HealthConfig::default()
            };
            HealthCommand::of(Some(&check), shell.map(texts).as_ref()).map(|command| command.argv.join(" "))
        };
        assert_eq!(of(&["CMD", "/app", "check"], None).as_deref(), Some("/app check"));
        assert_eq!(of(&["CMD-SHELL", "a | b"], None).as_deref(), Some("/bin/sh -c a | b"));
        assert_eq!(of(&["CMD-SHELL", "a"], Some(&["/bin/bash", "-ec"])).as_deref(), Some("/bin/bash -ec a"));
        for none in [&["NONE"][..], &[], &["CMD"]] {
            assert_eq!(of(none, None), None, "{none:?}");
        }
        assert_eq!(HealthCommand::of(None, None), None);
    }
}
