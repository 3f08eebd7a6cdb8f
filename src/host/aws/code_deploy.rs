//! `CodeDeploy`: one question, for which its SDK would be half a megabyte. The call is that of its JSON protocol, signed, sent and read by
//! the parts that the SDKs are made of.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::timeout::TimeoutConfig;
use serde::Deserialize;

use super::Aws;
use super::error::AwsError;
use super::request::Request;

/// A hook waits for it, and nothing depends on it.
const PATIENCE: Duration = Duration::from_secs(5);

const TYPE: &str = "application/x-amz-json-1.1";
const TARGET: &str = "CodeDeploy_20141006.GetDeployment";

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
struct Signed {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Aws {
    /// Who has created a deployment, as `CodeDeploy` says: `user`, `autoscaling`, `codeDeployRollback`. Asked once: where it cannot be
    /// asked, there is another way.
    pub async fn creator_of(&self, deployment: &str, region: &str) -> Result<String, AwsError> {
        let request = Request::deployment(deployment, region);
        let not_sent = |error| request.failed::<ErrorMetadata>(SdkError::construction_failure(error));
        let config = self.config(region).await;
        let provider = config
            .credentials_provider()
            .ok_or_else(|| not_sent("there is no provider of credentials".into()))?;
        let credentials = provider.provide_credentials().await.map_err(|error| not_sent(error.into()))?;
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let own = format!("https://codedeploy.{region}.amazonaws.com{suffix}/");
        let url = config.endpoint_url().map_or(own, str::to_owned);
        let body = serde_json::json!({ "deploymentId": deployment }).to_string();
        let signed = signed(url.clone(), body, region, credentials.into()).map_err(not_sent)?;
        let operation = Operation::builder()
            .service_name("CodeDeploy")
            .operation_name("GetDeployment")
            .http_client(self.http.clone())
            .endpoint_url(&url)
            .no_auth()
            .no_retry()
            .sleep_impl(TokioSleep::new())
            .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
            .serializer(to_request)
            .deserializer(read)
            .build();
        let answer = operation.invoke(signed).await.map_err(|error| request.failed(error))?;
        answer.ok_or_else(|| request.unusable("does not say who created it"))
    }
}

fn signed(url: String, body: String, region: &str, identity: Identity) -> Result<Signed, BoxError> {
    let settings = SigningSettings::default();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("codedeploy")
        .time(SystemTime::now())
        .settings(settings)
        .build()?;
    let headers = [("content-type", TYPE), ("x-amz-target", TARGET)];
    let signable =
        SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
    let (instructions, _) = sign(signable, &params.into())?.into_parts();
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let headers = headers.into_iter().chain(instructions.headers()).map(owned).collect();
    Ok(Signed { url, headers, body })
}

fn to_request(signed: Signed) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(signed.body));
    request.set_method("POST")?;
    request.set_uri(signed.url)?;
    for (name, value) in signed.headers {
        request.headers_mut().try_insert(name, value)?;
    }
    Ok(request)
}

/// The part of the answer that counts.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "deploymentInfo")]
    deployment: Option<Deployment>,
}

#[derive(Deserialize)]
struct Deployment {
    creator: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: Option<String>,
}

fn read(response: &HttpResponse) -> Result<Option<String>, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        let answer: Answer = serde_json::from_slice(body).map_err(OrchestratorError::other)?;
        return Ok(answer.deployment.and_then(|deployment| deployment.creator));
    }
    let refusal: Refusal = serde_json::from_slice(body).map_err(|_| {
        OrchestratorError::other(format!("it answered with status {}", response.status().as_u16()))
    })?;
    // The namespace of the code is left out, as the SDKs do.
    let code = refusal.code.rsplit('#').next().unwrap_or_default();
    let refusal = ErrorMetadata::builder().code(code).message(refusal.message.unwrap_or_default()).build();
    Err(OrchestratorError::operation(refusal))
}
