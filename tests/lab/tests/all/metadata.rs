//! The metadata service as an instance meets it.

use std::process::Command;

use lab::{Instance, Lab};

/// Sends a request from inside the instance, and says status line and body.
fn ask(instance: &Instance, request: &str) -> String {
    ask_within(instance, request, 20)
}

/// The same, and nothing if there is no answer within so many seconds.
fn ask_within(instance: &Instance, request: &str, seconds: u32) -> String {
    let script = format!(
        "exec 3<>/dev/tcp/169.254.169.254/80; printf '{request}Connection: close\\r\\n\\r\\n' >&3; \
         timeout {seconds} cat <&3; true"
    );
    let done = instance.command("bash").args(["-c", &script]).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

fn token(instance: &Instance) -> String {
    let put = "PUT /latest/api/token HTTP/1.1\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n";
    ask(instance, put).lines().last().unwrap().to_owned()
}

#[test]
fn only_with_a_token_and_only_from_the_instance() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let get =
        |path: &str, header: &str| ask(&instance, &format!("GET /latest/{path} HTTP/1.1\\r\\n{header}"));
    assert!(get("meta-data/instance-id", "").starts_with("HTTP/1.1 401"));
    let token = format!("X-aws-ec2-metadata-token: {}\\r\\n", token(&instance));
    let said = get("meta-data/instance-id", &token);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let mut metadata = instance.metadata().unwrap();
    assert!(said.ends_with(&metadata.instance_id));
    let document = get("dynamic/instance-identity/document", &token);
    assert!(
        document.contains("\"accountId\": \"123456789012\"") && document.contains("eu-west-1"),
        "{document}"
    );
    assert!(get("meta-data/iam/security-credentials/", &token).ends_with("lab-instance-role"));
    assert!(
        get("meta-data/iam/security-credentials/lab-instance-role", &token).contains("\"Code\": \"Success\"")
    );
    assert!(
        get("meta-data/instance-id", &format!("{token}X-Forwarded-For: 1.2.3.4\\r\\n")).contains(" 403 ")
    );

    metadata.role = None;
    instance.set_metadata(&metadata).unwrap();
    assert!(get("meta-data/iam/security-credentials/", &token).starts_with("HTTP/1.1 404"));
    metadata.silent = true;
    instance.set_metadata(&metadata).unwrap();
    let request = format!("GET /latest/meta-data/instance-id HTTP/1.1\\r\\n{token}");
    assert_eq!(ask_within(&instance, &request, 1), "");
    metadata.silent = false;
    instance.set_metadata(&metadata).unwrap();
    assert!(get("meta-data/instance-id", &token).starts_with("HTTP/1.1 200"));

    // Not there at all: refused at once, or never answered.
    let knock = |within: &str| {
        let script = "exec 3<>/dev/tcp/169.254.169.254/80";
        instance.command("timeout").args([within, "bash", "-c", script]).output().unwrap()
    };
    assert!(knock("20").status.success());
    instance.stop_metadata().unwrap();
    let refused = knock("20");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Connection refused"), "{refused:?}");
    instance.start_metadata().unwrap();
    assert!(knock("20").status.success());
    instance.drop_metadata(true).unwrap();
    assert_eq!(knock("0.3").status.code(), Some(124), "nobody says anything");
    instance.drop_metadata(false).unwrap();
    assert!(knock("20").status.success());

    let mut outside: Command = lab.command("bash").unwrap();
    let reach = "exec 3<>/dev/tcp/169.254.169.254/80";
    assert!(!outside.args(["-c", reach]).output().unwrap().status.success());
}
