//! Why the Engine does not start a container, and what to do about it. Most of it shows only then, in words. Pure.

use crate::host::iam::Refusal;
use crate::model::ProcessName;

/// What to do, by the Engine's message; nothing where it is not known.
pub fn advice(message: &str, process: &ProcessName) -> Option<String> {
    let is = |words: &str| message.contains(words);
    if is("exec: ") && (is("executable file not found") || is("no such file or directory")) {
        return Some(format!(
            "the image has no such program: correct 'command' in [process.{process}], or the image"
        ));
    }
    if is("exec: ") && is("permission denied") {
        return Some(format!(
            "the program is not executable for the user of [process.{process}]: chmod +x in the image, or another 'user'"
        ));
    }
    is("failed to initialize logging driver").then(|| log_driver(message, process))
}

/// `awslogs` asks `CloudWatch` Logs, as the instance's role, when a container starts.
fn log_driver(message: &str, process: &ProcessName) -> String {
    let is = |words: &str| message.contains(words);
    if is("ResourceNotFoundException") || is("log group does not exist") {
        return format!(
            "create the log group (aws logs create-log-group --log-group-name NAME), or add awslogs-create-group = \"true\" to 'options' of log in [process.{process}], for which the instance's role needs logs:CreateLogGroup"
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
        "look at log in [process.{process}]: the driver, its options, and whether the Engine reaches the other side"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_only_at_the_start_is_explained() {
        let process = "web".parse().unwrap();
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
                "failed to initialize logging driver: dial tcp: connection refused",
                "look at log in [process.web]",
            ),
        ] {
            let fix = advice(message, &process).unwrap_or_default();
            assert!(fix.contains(words), "{message}: {fix}");
        }
        assert_eq!(advice("port is already allocated", &process), None);
    }
}
