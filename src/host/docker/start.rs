//! Why the Engine does not create or start a container, and what to do about it. Most of it shows only when it starts, in
//! words. Pure.

use super::DockerError;
use crate::host::iam::Refusal;
use crate::model::Failure;
use crate::text::clean;

/// An error of a container, with what to do about it where that is known. `table` is what the configuration calls it:
/// `process.web`, `task.migrate`.
pub fn explained(error: DockerError, table: &str) -> Failure {
    let failure = Failure::from(error);
    match advice(&failure.what, table) {
        Some(fix) => Failure { fix, ..failure },
        None => failure,
    }
}

/// What to do, by the Engine's message; nothing where it is not known.
fn advice(message: &str, table: &str) -> Option<String> {
    let is = |words: &str| message.contains(words);
    if is("exec: ") && (is("executable file not found") || is("no such file or directory")) {
        return Some(format!("the image has no such program: correct 'command' in [{table}], or the image"));
    }
    if is("exec: ") && is("permission denied") {
        return Some(format!(
            "the program is not executable for the user of [{table}]: chmod +x in the image, or another 'user'"
        ));
    }
    for kind in ["user", "group"] {
        if let Some(name) = between(message, &format!("unable to find {kind} "), ":") {
            return Some(format!(
                "the image has no {kind} '{name}' in /etc/{}: correct 'user' in [{table}], or write a number, which needs no entry there",
                if kind == "user" { "passwd" } else { "group" }
            ));
        }
    }
    if is("mount") && is("not a directory") {
        let place = between(message, "to rootfs at \"", "\"").unwrap_or("a path in the container");
        return Some(format!(
            "a file is mounted at '{place}' where the image has a folder, or a folder where it has a file: write the whole path, such as [{table}.file.\"{}/NAME\"], or correct 'volumes'",
            place.trim_end_matches('/')
        ));
    }
    if let Some((_, path)) = message.split_once("bind source path does not exist: ") {
        let path = clean(path.trim());
        return Some(format!(
            "make it on the instance before the deployment (mkdir -p {path}, and chown it to the container's user), or correct 'volumes' in [{table}]"
        ));
    }
    if is("address already in use") || is("all ports are allocated") {
        return Some(
            "something else listens on the port ('ss -tlnp' says what). A candidate needs a second one beside live, which the Engine picks \
             from net.ipv4.ip_local_port_range, as that was when the Engine was started: free some, or write order = \"stop-first\""
                .to_owned(),
        );
    }
    is("failed to initialize logging driver").then(|| log_driver(message, table))
}

/// What stands between two words.
fn between<'m>(message: &'m str, before: &str, after: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// `awslogs` asks `CloudWatch` Logs, as the instance's role, when a container starts.
fn log_driver(message: &str, table: &str) -> String {
    let is = |words: &str| message.contains(words);
    if is("ResourceNotFoundException") || is("log group does not exist") {
        return format!(
            "create the log group (aws logs create-log-group --log-group-name NAME), or add awslogs-create-group = \"true\" to 'options' of log in [{table}], for which the instance's role needs logs:CreateLogGroup"
        );
    }
    if let Some(refusal) = Refusal::in_text(message) {
        let on = refusal.resource.map(|resource| format!(" on {resource}")).unwrap_or_default();
        return format!("the instance's role needs {}{on}{}", refusal.action, refusal.beside_the_role());
    }
    if is("NoCredentialProviders")
        || is("no EC2 IMDS role found")
        || is("failed to refresh cached credentials")
    {
        return "the Engine itself logs, and finds no credentials: attach an instance profile, or look whether the Engine can reach 169.254.169.254".to_owned();
    }
    format!(
        "look at log in [{table}]: the driver, its options, and whether the Engine reaches the other side"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_only_at_the_start_is_explained() {
        for (message, words) in [
            (
                "unable to start container process: exec: \"/gunicorn\": stat /gunicorn: no such file or directory: unknown",
                "no such program: correct 'command' in [process.web]",
            ),
            (
                "unable to start container process: exec: \"/app\": permission denied: unknown",
                "not executable",
            ),
            (
                "unable to find user django: no matching entries in passwd file",
                "no user 'django' in /etc/passwd: correct 'user' in [process.web]",
            ),
            ("unable to find group web: no matching entries in group file", "no group 'web' in /etc/group"),
            (
                "error during container init: error mounting \"/var/lib/f\" to rootfs at \"/etc\": mount /var/lib/f:/etc (via \
                 /proc/self/fd/6), flags: 0x5000: not a directory: unknown: Are you trying to mount a directory onto a file",
                "mounted at '/etc' where the image has a folder, or a folder where it has a file: write the whole path, such as \
                 [process.web.file.\"/etc/NAME\"]",
            ),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /srv/media",
                "(mkdir -p /srv/media, and chown it to the container's user), or correct 'volumes' in [process.web]",
            ),
            (
                "failed to initialize logging driver: failed to create Cloudwatch log stream: operation error CloudWatch \
                 Logs: CreateLogStream, https response error StatusCode: 400, ResourceNotFoundException: The specified log \
                 group does not exist.",
                "awslogs-create-group = \"true\"",
            ),
            (
                "failed to initialize logging driver: AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/r/i \
                 is not authorized to perform: logs:CreateLogStream on resource: arn:aws:logs:eu-west-1:1:log-group:g",
                "needs logs:CreateLogStream on arn:aws:logs:eu-west-1:1:log-group:g",
            ),
            (
                "failed to initialize logging driver: NoCredentialProviders: no valid providers in chain",
                "no credentials",
            ),
            (
                "failed to bind host port for 0.0.0.0::172.17.0.3:8000/tcp: address already in use",
                "'ss -tlnp' says what",
            ),
            (
                "failed to initialize logging driver: dial tcp: connection refused",
                "look at log in [process.web]",
            ),
        ] {
            let fix = advice(message, "process.web").unwrap_or_default();
            assert!(fix.contains(words), "{message}: {fix}");
        }
        assert_eq!(advice("port is already allocated", "process.web"), None);
    }
}
