//! AWS at the level of HTTP: ECR's password and one secret, or whatever error a test wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use handover::host::aws::Aws;
use jiff::SignedDuration;

#[derive(Clone)]
pub struct FakeAws(Arc<Mutex<Account>>);

struct Account {
    calls: Vec<String>,
    hosts: Vec<String>,
    refusals: BTreeMap<String, (u16, String)>,
    /// The secret's versions, the current one last.
    versions: Vec<(String, String)>,
    /// The versions of each parameter of Parameter Store, the newest last: its text, and when it was made.
    parameters: BTreeMap<String, Vec<(String, u32)>>,
    /// What was asked of Secrets Manager and Parameter Store.
    asked: Vec<serde_json::Value>,
    /// Goes on with each change of a parameter.
    clock: u32,
    /// How far its clock is behind ours.
    behind: SignedDuration,
    /// Who created each deployment.
    creator: &'static str,
}

impl FakeAws {
    /// A secret as RDS makes them, with this password.
    pub fn new(password: &str) -> Self {
        let secret = serde_json::json!({ "username": "sp", "password": password, "port": 5432 }).to_string();
        let version = "11111111-2222-3333-4444-555555555555".to_owned();
        Self(Arc::new(Mutex::new(Account {
            calls: vec![],
            hosts: vec![],
            refusals: BTreeMap::new(),
            versions: vec![(version, secret)],
            parameters: BTreeMap::new(),
            asked: vec![],
            clock: 0,
            behind: SignedDuration::ZERO,
            creator: "user",
        })))
    }

    /// The calls since they were taken last.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// The hosts that were called, one for each call.
    pub fn take_hosts(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().hosts)
    }

    /// From now on an action is refused, in the services' own shape.
    pub fn refuse(&self, action: &str, status: u16, code: &str, message: &str) {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        self.0.lock().unwrap().refusals.insert(action.to_owned(), (status, body));
    }

    /// From now on an action is not refused any more.
    pub fn allow(&self, action: &str) {
        self.0.lock().unwrap().refusals.remove(action);
    }

    /// The secret has another text from now on, and so another version.
    pub fn set_secret(&self, text: &str) {
        let mut account = self.0.lock().unwrap();
        let version = format!("{:08}-2222-3333-4444-555555555555", account.versions.len());
        account.versions.push((version, text.to_owned()));
    }

    /// A parameter of Parameter Store has another text from now on, and so another version; it is made if it is not there.
    pub fn put_parameter(&self, name: &str, text: &str) {
        let mut account = self.0.lock().unwrap();
        let time = 1_800_000_000 + account.clock;
        account.clock += 1;
        account.parameters.entry(name.to_owned()).or_default().push((text.to_owned(), time));
    }

    /// A parameter goes, with all its versions.
    pub fn delete_parameter(&self, name: &str) {
        self.0.lock().unwrap().parameters.remove(name);
    }

    /// What was asked of Secrets Manager and Parameter Store since this was asked last.
    pub fn take_asked(&self) -> Vec<serde_json::Value> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// From now on its clock is behind ours.
    pub fn fall_behind(&self, behind: SignedDuration) {
        self.0.lock().unwrap().behind = behind;
    }

    /// From now on this is who creates deployments.
    pub fn created_by(&self, creator: &'static str) {
        self.0.lock().unwrap().creator = creator;
    }

    fn date(&self) -> String {
        let now = jiff::Timestamp::now() - self.0.lock().unwrap().behind;
        jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).unwrap()
    }

    /// A connection to it, with credentials of its own.
    pub fn connect(&self) -> Aws {
        let fake = self.clone();
        let client = infallible_client_fn(move |request: http::Request<SdkBody>| {
            let header = |name| request.headers().get(name).and_then(|h| h.to_str().ok()).unwrap_or_default();
            let action = header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
            assert!(!header("authorization").is_empty(), "{action} is not signed");
            fake.0.lock().unwrap().hosts.extend(request.uri().host().map(str::to_owned));
            let body = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok());
            let (status, body) = fake.answer(&action, &body.unwrap_or_default());
            http::Response::builder()
                .status(status)
                .header("content-type", "application/x-amz-json-1.1")
                .header("date", fake.date())
                .body(SdkBody::from(body))
                .unwrap()
        });
        Aws::with_client(client, SharedCredentialsProvider::new(Credentials::for_tests()))
    }

    fn answer(&self, action: &str, asked: &serde_json::Value) -> (u16, String) {
        let mut account = self.0.lock().unwrap();
        account.calls.push(action.to_owned());
        if let Some(refusal) = account.refusals.get(action) {
            return refusal.clone();
        }
        let body = match action {
            // AWS:canary-token
            "GetAuthorizationToken" => serde_json::json!({ "authorizationData": [
                { "authorizationToken": "QVdTOmNhbmFyeS10b2tlbg==", "expiresAt": 4_102_444_800_u32 }
            ] }),
            "GetSecretValue" => {
                account.asked.push(asked.clone());
                let back = usize::from(asked["VersionStage"] == "AWSPREVIOUS");
                let found = match asked["VersionId"].as_str() {
                    Some(version) => account.versions.iter().find(|(v, _)| v == version),
                    None => account.versions.iter().rev().nth(back),
                };
                let (version, secret) = found.expect("the version that is asked for is there");
                serde_json::json!({ "Name": "prod/database", "VersionId": version, "SecretString": secret })
            }
            "GetParameter" => {
                account.asked.push(asked.clone());
                assert_eq!(asked["WithDecryption"], true);
                let name = asked["Name"].as_str().unwrap_or_default();
                let (name, number) = name.split_once(':').map_or((name, None), |(n, v)| (n, v.parse().ok()));
                match account.parameter(name, number) {
                    Some(parameter) => serde_json::json!({ "Parameter": parameter }),
                    None => return (400, serde_json::json!({ "__type": "ParameterNotFound" }).to_string()),
                }
            }
            "GetParametersByPath" => {
                account.asked.push(asked.clone());
                assert_eq!((&asked["Recursive"], &asked["WithDecryption"]), (&true.into(), &true.into()));
                account.page(asked)
            }
            "GetDeployment" => {
                account.asked.push(asked.clone());
                serde_json::json!({ "deploymentInfo": { "creator": account.creator } })
            }
            other => panic!("AWS was asked to {other}"),
        };
        (200, body.to_string())
    }
}

impl Account {
    /// A version of a parameter, in the service's own shape; the newest without a number.
    fn parameter(&self, name: &str, number: Option<usize>) -> Option<serde_json::Value> {
        let versions = self.parameters.get(name)?;
        let number = number.unwrap_or(versions.len());
        let (text, time) = versions.get(number.checked_sub(1)?)?;
        Some(serde_json::json!({
            "Name": name, "Type": "SecureString", "Value": text, "Version": number, "LastModifiedDate": time,
        }))
    }

    /// Two parameters a page; and as the service may do it, the last page is an empty one.
    fn page(&self, asked: &serde_json::Value) -> serde_json::Value {
        const LENGTH: usize = 2;
        let path = format!("{}/", asked["Path"].as_str().unwrap_or_default());
        let from: usize = asked["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let names = self.parameters.keys().filter(|name| name.starts_with(&path));
        let page: Vec<_> =
            names.skip(from).take(LENGTH).filter_map(|name| self.parameter(name, None)).collect();
        let next = (!page.is_empty()).then(|| (from + LENGTH).to_string());
        serde_json::json!({ "Parameters": page, "NextToken": next })
    }
}
