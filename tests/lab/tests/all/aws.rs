//! The AWS APIs, as an instance meets them: over TLS, under their genuine names.

use std::io::Write;
use std::process::Stdio;

use lab::names::{DATABASE_SECRET, RDS_MANAGED_SECRET, REDIS_SECRET};
use lab::{Fault, Instance, Lab, wait_until};
use serde_json::{Value, json};

use crate::support::SOON;

/// Asks Secrets Manager from inside the instance, with the machine's bundle of authorities; the answer is status line
/// and body, or nothing if there was none.
fn ask(instance: &Instance, secret: &str) -> String {
    ask_within(instance, secret, "20")
}

/// The same, and nothing if there is no answer within so many seconds.
fn ask_within(instance: &Instance, secret: &str, seconds: &str) -> String {
    let host = "secretsmanager.eu-west-1.amazonaws.com";
    let body = json!({ "SecretId": secret }).to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Target: secretsmanager.GetSecretValue\r\nContent-Length: {}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=ASIALAB/20260101/eu-west-1/secretsmanager/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len()
    );
    let mut child = instance
        .command("timeout")
        .args([seconds, "openssl", "s_client", "-quiet", "-verify_return_error", "-verify_hostname", host])
        .args(["-CAfile", "/etc/ssl/certs/ca-certificates.crt", "-servername", host, "-connect"])
        .arg(format!("{host}:443"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(request.as_bytes()).unwrap();
    // Not closed before the answer is there: that would end the conversation.
    let done = child.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn value(answer: &str) -> Value {
    let body = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}")).1;
    serde_json::from_str(body).unwrap()
}

#[test]
fn the_secrets_are_there_and_calls_are_counted() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let database: Value =
        serde_json::from_str(value(&ask(&instance, DATABASE_SECRET))["SecretString"].as_str().unwrap())
            .unwrap();
    assert_eq!(database["host"], "db.internal");
    assert_eq!(database["port"], 5432);
    let managed = value(&ask(&instance, RDS_MANAGED_SECRET));
    assert_eq!(managed["SecretString"], r#"{"username": "sp", "password": "Pa55&word/of%db"}"#);
    assert_eq!(value(&ask(&instance, REDIS_SECRET))["SecretString"], "Tok#en^1");
    assert!(ask(&instance, "prod/nothing").contains("ResourceNotFoundException"));

    let aws = lab.aws().unwrap();
    assert_eq!(aws.calls().unwrap()["GetSecretValue"], 4);
    let log = aws.call_log().unwrap();
    assert_eq!(log[1].secret.as_deref(), Some(RDS_MANAGED_SECRET));
    assert_eq!(log[1].client.as_deref(), Some("10.66.0.11"));
    assert!(log[1].signed && !log[1].fault);
    aws.reset_calls().unwrap();
    assert!(aws.calls().unwrap().is_empty());

    let first = aws.put_secret(REDIS_SECRET, "another").unwrap();
    let second = aws.put_secret(REDIS_SECRET, "and another").unwrap();
    assert_ne!(first, second);
    let said = value(&ask(&instance, REDIS_SECRET));
    assert_eq!((&said["SecretString"], &said["VersionId"]), (&json!("and another"), &json!(second)));
    aws.put_secret("brand/new", "1").unwrap();
    assert_eq!(value(&ask(&instance, "brand/new"))["SecretString"], "1");
    aws.put_secret_binary("brand/binary", "AAEC").unwrap();
    assert_eq!(value(&ask(&instance, "brand/binary"))["SecretBinary"], "AAEC");
    aws.schedule_secret_deletion("brand/new").unwrap();
    let said = ask(&instance, "brand/new");
    assert!(said.contains("InvalidRequestException") && said.contains("marked deleted"), "{said}");
    aws.restore_secret("brand/new").unwrap();
    assert_eq!(value(&ask(&instance, "brand/new"))["SecretString"], "1");
    aws.delete_secret("brand/new").unwrap();
    assert!(ask(&instance, "brand/new").contains("ResourceNotFoundException"));
    aws.create_repository("another").unwrap();
}

#[test]
fn faults_on_demand() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let aws = lab.aws().unwrap();
    aws.set_faults([("GetSecretValue", Fault::error(400, "ThrottlingException").times(2))]).unwrap();
    for _ in 0..2 {
        let said = ask(&instance, REDIS_SECRET);
        assert!(said.contains(" 400 ") && said.contains("ThrottlingException"), "{said}");
    }
    assert!(ask(&instance, REDIS_SECRET).contains(" 200 "));
    assert_eq!(aws.call_log().unwrap().iter().filter(|call| call.fault).count(), 2);

    let only_one = Fault { r#match: "rds!".to_owned(), ..Fault::error(400, "AccessDeniedException") };
    aws.set_faults([("GetSecretValue", only_one)]).unwrap();
    assert!(ask(&instance, RDS_MANAGED_SECRET).contains("AccessDeniedException"));
    assert!(ask(&instance, REDIS_SECRET).contains(" 200 "));

    aws.set_faults([("GetSecretValue", Fault { reset: true, ..Fault::default() })]).unwrap();
    assert_eq!(ask(&instance, REDIS_SECRET), "");
    aws.set_faults([("GetSecretValue", Fault::hang())]).unwrap();
    assert_eq!(ask_within(&instance, REDIS_SECRET, "2"), "");
    aws.clear_faults().unwrap();
    assert!(ask(&instance, REDIS_SECRET).contains(" 200 "));

    // Two at once, of one action; and an answer that waits for us.
    let denied = Fault::error(400, "AccessDeniedException").matching("rds!");
    let throttled = Fault::error(400, "ThrottlingException").matching("redis");
    aws.set_faults([("GetSecretValue", denied), ("GetSecretValue", throttled)]).unwrap();
    assert!(ask(&instance, RDS_MANAGED_SECRET).contains("AccessDeniedException"));
    assert!(ask(&instance, REDIS_SECRET).contains("ThrottlingException"));
    aws.set_faults([("GetSecretValue", Fault::hold())]).unwrap();
    aws.reset_calls().unwrap();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&instance, REDIS_SECRET));
        wait_until("the call is there", SOON, || Ok(!aws.calls()?.is_empty())).unwrap();
        aws.clear_faults().unwrap();
        assert!(asking.join().unwrap().contains(" 200 "));
    });
}
