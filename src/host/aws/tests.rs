//! What people read when AWS refuses, is silent or is not there: over HTTP, as the SDK sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;

use super::*;
use crate::model::Finding;

mod parameters;

/// An error with what to do about it.
fn said(error: &AwsError) -> String {
    Finding::of(error).to_string()
}

fn wanted(secret: &str) -> SecretVersion {
    SecretVersion { secret: secret.to_owned(), region: "eu-west-1".to_owned(), stage: None, version: None }
}

fn with(http: SharedHttpClient) -> Aws {
    Aws::with_client(http, SharedCredentialsProvider::new(Credentials::for_tests()))
}

/// The error of a secret when this is the answer, and how often it was asked for.
async fn refused(status: u16, body: String) -> (String, usize) {
    refused_at(status, body, jiff::Timestamp::now()).await
}

/// The same, with an answer of this time: the SDK corrects a clock that is wrong by it, and tries again.
async fn refused_at(status: u16, body: String, now: jiff::Timestamp) -> (String, usize) {
    asked_for(status, body, now, async |aws| aws.secret(&wanted("prod/db")).await.map(drop)).await
}

/// The error of whatever is asked for.
async fn asked_for(
    status: u16,
    body: String,
    now: jiff::Timestamp,
    ask: impl AsyncFn(Aws) -> Result<(), AwsError>,
) -> (String, usize) {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let http = infallible_client_fn(move |_: http::Request<SdkBody>| {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = http::Response::builder().status(status).header("date", date.as_str());
        answer.body(SdkBody::from(body.clone())).unwrap()
    });
    let error = said(&ask(with(http)).await.unwrap_err());
    assert!(!error.contains('\n'), "{error}");
    (error, asked.load(Ordering::Relaxed))
}

fn body(code: &str, message: &str) -> String {
    serde_json::json!({ "__type": code, "message": message }).to_string()
}

#[tokio::test(start_paused = true)]
async fn every_refusal_says_what_to_do_and_only_what_may_pass_is_tried_again() {
    const ONCE: usize = 1;
    let again = ATTEMPTS as usize;
    for (status, name, message, tries, words) in [
        (
            400,
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
            ONCE,
            vec!["prod/db", "eu-west-1", "list-secrets", "full ARN"],
        ),
        (
            400,
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: AWSPREVIOUS",
            ONCE,
            vec!["this version of it does not"],
        ),
        (
            400,
            "AccessDeniedException",
            "User: arn:aws:sts::1:assumed-role/r/i is not authorized to perform: secretsmanager:GetSecretValue",
            ONCE,
            vec![
                "allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:ACCOUNT:secret:prod/db-??????",
                "role",
            ],
        ),
        (
            400,
            "AccessDeniedException",
            "Access to KMS is not allowed",
            ONCE,
            vec!["kms:Decrypt", "key's own policy"],
        ),
        (
            400,
            "DecryptionFailure",
            "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
            ONCE,
            vec!["enabled", "kms:Decrypt", "describe-secret --secret-id prod/db"],
        ),
        (
            400,
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
            ONCE,
            vec!["restore-secret --secret-id prod/db --region eu-west-1"],
        ),
        (
            400,
            "InvalidRequestException",
            "You tried to perform the operation on a secret that's currently marked deleted.",
            ONCE,
            vec!["restore-secret --secret-id prod/db --region eu-west-1"],
        ),
        (400, "InvalidParameterException", "Invalid name.", ONCE, vec!["Invalid name"]),
        (400, "ThrottlingException", "Rate exceeded", again, vec!["tried 4 times", "fewer instances"]),
        (400, "RequestLimitExceeded", "Slow down", again, vec!["tried 4 times"]),
        // Both statuses are in the service's documentation.
        (
            400,
            "InternalServiceError",
            "An error occurred on the server side.",
            again,
            vec!["InternalServiceError"],
        ),
        (
            500,
            "InternalServiceError",
            "An error occurred on the server side.",
            again,
            vec!["InternalServiceError"],
        ),
        (400, "InternalFailure", "", again, vec!["InternalFailure"]),
        (503, "ServiceUnavailable", "", again, vec!["ServiceUnavailable"]),
        (
            400,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            ONCE,
            vec!["have expired", "AWS_*"],
        ),
    ] {
        let (error, asked) = refused(status, body(name, message)).await;
        for word in words {
            assert!(error.contains(word), "'{word}' is missing for {name}: {error}");
        }
        assert_eq!(asked, tries, "{name} with status {status}: {error}");
    }
}

/// The SDK signs again by the time in the answer; when that does not help, it is an error.
#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_reported_with_how_wrong_it_is() {
    let hours_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(5);
    for (code, message) in [
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        (
            "InvalidSignatureException",
            "Signature not yet current: 20201123T095500Z is still later than 20201123T095000Z",
        ),
    ] {
        let (error, _) = refused_at(403, body(code, message), hours_ago).await;
        for word in ["clock of this instance", "5 h ahead of AWS's", code, "chronyc"] {
            assert!(error.contains(word), "'{word}' is missing: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_used() {
    let (binary, _) = refused(200, r#"{"VersionId": "v", "SecretBinary": "aHVudGVyMg=="}"#.to_owned()).await;
    assert!(
        binary.contains("prod/db") && binary.contains("SecretBinary") && !binary.contains("hunter2"),
        "{binary}"
    );
    let (bare, asked) = refused(502, "<html>Bad Gateway</html>".to_owned()).await;
    assert!(bare.contains("prod/db"), "{bare}");
    assert_eq!(asked, 4);
}

/// A network that fails in one way.
#[derive(Debug, Clone)]
struct Network(fn() -> Option<ConnectorError>);

impl HttpConnector for Network {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        match (self.0)() {
            Some(error) => HttpConnectorFuture::ready(Err(error)),
            None => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

fn network(how: fn() -> Option<ConnectorError>) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Network(how)))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_out_of_reach_is_reported_with_its_vpc_endpoint() {
    let ways: [fn() -> Option<ConnectorError>; 3] = [
        || Some(ConnectorError::timeout("connect timed out".into())),
        || Some(ConnectorError::io("connection refused".into())),
        || None,
    ];
    for way in ways {
        let aws = with(network(way));
        let secret = said(&aws.secret(&wanted("prod/db")).await.unwrap_err());
        assert!(
            secret.contains("prod/db") && secret.contains("com.amazonaws.eu-west-1.secretsmanager"),
            "{secret}"
        );
        let host = "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com";
        let ecr = said(&aws.registry_login(host, "us-gov-west-1").await.unwrap_err());
        assert!(ecr.contains("com.amazonaws.us-gov-west-1.ecr.api"), "{ecr}");
    }
}

/// An instance's metadata, to which the SDK's own chain of credentials comes in the end.
async fn without_credentials(http: SharedHttpClient) -> String {
    let provider = aws_config::provider_config::ProviderConfig::default().with_http_client(http.clone());
    let imds = aws_config::imds::credentials::ImdsCredentialsProvider::builder().configure(&provider).build();
    let chain =
        aws_config::meta::credentials::CredentialsProviderChain::first_try("Ec2InstanceMetadata", imds);
    let aws = Aws::with_client(http, SharedCredentialsProvider::new(chain));
    let began = tokio::time::Instant::now();
    let error = said(&aws.check_credentials("eu-west-1").await.unwrap_err());
    // By the clock of the test, which only stands still while something is done.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    error
}

/// The SDK's chain of credentials begins with the environment, so this is tested in an empty one: in a process of its own.
/// No real metadata are asked there either: the network is one of these.
#[test]
fn why_there_are_no_credentials_in_an_empty_environment() {
    let test = "host::aws::tests::why_there_are_no_credentials";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let ran = child.env_clear().args(["--exact", test, "--ignored"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(start_paused = true)]
#[ignore = "the test above runs it, without the variables of whoever runs the tests"]
async fn why_there_are_no_credentials() {
    let silent =
        without_credentials(network(|| Some(ConnectorError::timeout("connect timed out".into())))).await;
    assert!(silent.contains("does not answer") && silent.contains("169.254.169.254"), "{silent}");
    let hanging = without_credentials(network(|| None)).await;
    assert!(hanging.contains("does not answer"), "{hanging}");
    let answers = |token: u16, role: u16| {
        infallible_client_fn(move |request: http::Request<SdkBody>| {
            let status = if request.method() == http::Method::PUT { token } else { role };
            let answer =
                http::Response::builder().status(status).header("x-aws-ec2-metadata-token-ttl-seconds", "60");
            answer.body(SdkBody::from("token")).unwrap()
        })
    };
    let bare = without_credentials(answers(200, 404)).await;
    assert!(bare.contains("no IAM role") && bare.contains("associate-iam-instance-profile"), "{bare}");
    let disabled = without_credentials(answers(403, 403)).await;
    assert!(
        disabled.contains("refuses a token") && disabled.contains("modify-instance-metadata-options"),
        "{disabled}"
    );
}

/// A provider without credentials.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = aws_credential_types::provider::error::CredentialsError::not_loaded("nothing is set");
        future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_credentials_says_the_same() {
    let http = infallible_client_fn(|_: http::Request<SdkBody>| http::Response::new(SdkBody::empty()));
    let aws = Aws::with_client(http, SharedCredentialsProvider::new(Nobody));
    for error in [
        aws.check_credentials("eu-west-1").await.unwrap_err(),
        aws.secret(&wanted("prod/db")).await.unwrap_err(),
    ] {
        assert!(matches!(error, AwsError::Credentials(_)), "{error}");
        assert!(said(&error).contains("nothing is set"), "{error}");
    }
}
