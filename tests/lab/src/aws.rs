//! The AWS APIs of the lab, from the side of the tests: what is in them, how often they were called, what goes wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http::{Request, over_unix};
use crate::names::REGION;

/// The AWS APIs. What is done through this handle is neither counted nor faulted.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) socket: PathBuf,
    pub(crate) folder: PathBuf,
}

/// Something that goes wrong with one action.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Fault {
    /// The HTTP status; without one the call is answered properly, after the delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error's code, such as `ThrottlingException`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For so many calls; without it, for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Not for the first so many calls.
    #[serde(default)]
    pub after: u32,
    /// Only for calls whose body contains this, such as the name of a secret.
    #[serde(default)]
    pub r#match: String,
    /// Wait so long before anything else.
    #[serde(default)]
    pub delay_ms: u64,
    /// Wait until the faults are changed.
    #[serde(default)]
    pub hold: bool,
    /// Never answer.
    #[serde(default)]
    pub hang: bool,
    /// Drop the connection.
    #[serde(default)]
    pub reset: bool,
}

impl Fault {
    /// An error answer with this status and code.
    pub fn error(status: u16, code: &str) -> Self {
        Self { status: Some(status), code: Some(code.to_owned()), ..Self::default() }
    }

    /// No answer at all.
    pub fn hang() -> Self {
        Self { hang: true, ..Self::default() }
    }

    /// A proper answer, but only when the faults are changed.
    pub fn hold() -> Self {
        Self { hold: true, ..Self::default() }
    }

    /// This fault only for calls whose body contains this text.
    #[must_use]
    pub fn matching(mut self, text: &str) -> Self {
        text.clone_into(&mut self.r#match);
        self
    }

    /// This fault for so many calls only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// One call that was made.
#[derive(Debug, Clone, Deserialize)]
pub struct Call {
    /// The action, such as `GetSecretValue`.
    pub action: String,
    /// The secret, the parameter or the path that it named, if any.
    pub secret: Option<String>,
    /// The address it came from.
    pub client: Option<String>,
    /// The name of the API that it went to.
    pub host: Option<String>,
    /// When, in seconds of the epoch.
    pub time: f64,
    /// Whether it carried a signature.
    pub signed: bool,
    /// Whether it met a fault.
    pub fault: bool,
}

impl Aws {
    /// How often each action was called since the lab came up or the last reset.
    pub fn calls(&self) -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for call in self.call_log()? {
            *counts.entry(call.action).or_default() += 1;
        }
        Ok(counts)
    }

    /// The calls in their order.
    pub fn call_log(&self) -> Result<Vec<Call>> {
        read_notes(&self.folder.join("calls.jsonl"))
    }

    /// Starts counting from nothing.
    pub fn reset_calls(&self) -> Result<()> {
        Ok(fs::write(self.folder.join("calls.jsonl"), "")?)
    }

    /// Lets these actions go wrong, and no others, from the next call on.
    pub fn set_faults<'a>(&self, faults: impl IntoIterator<Item = (&'a str, Fault)>) -> Result<()> {
        let faults = faults.into_iter().map(|(action, fault)| {
            let mut fault = serde_json::to_value(fault)?;
            fault["action"] = json!(action);
            Ok(fault)
        });
        let faults: Vec<Value> = faults.collect::<Result<_>>()?;
        write_whole(&self.folder.join("faults.json"), &serde_json::to_vec(&faults)?)
    }

    /// Lets everything go well again.
    pub fn clear_faults(&self) -> Result<()> {
        self.set_faults([])
    }

    /// Gives a secret a new value; makes the secret if there is none. The answer is the version's id.
    pub fn put_secret(&self, name: &str, value: &str) -> Result<String> {
        self.put(name, &json!({ "SecretString": value }))
    }

    /// As `put_secret`, with bytes in base64 as they travel.
    pub fn put_secret_binary(&self, name: &str, base64: &str) -> Result<String> {
        self.put(name, &json!({ "SecretBinary": base64 }))
    }

    fn put(&self, name: &str, value: &Value) -> Result<String> {
        let known = self.secret_exists(name)?;
        let (action, key) = if known { ("PutSecretValue", "SecretId") } else { ("CreateSecret", "Name") };
        let mut body = value.clone();
        body[key] = json!(name);
        // A new version wants a token; one that is never the same twice.
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        body["ClientRequestToken"] = json!(random.trim());
        let answer = self.secrets_manager(action, &body)?;
        Ok(answer["VersionId"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether there is a secret of this name.
    pub fn secret_exists(&self, name: &str) -> Result<bool> {
        let (status, answer) =
            self.raw(REGION, "secretsmanager", "DescribeSecret", &json!({ "SecretId": name }))?;
        match status {
            200 => Ok(true),
            _ if answer["__type"].as_str().unwrap_or_default().contains("ResourceNotFound") => Ok(false),
            _ => bail!("DescribeSecret: {status} {answer}"),
        }
    }

    /// Removes a secret at once.
    pub fn delete_secret(&self, name: &str) -> Result<()> {
        let body = json!({ "SecretId": name, "ForceDeleteWithoutRecovery": true });
        self.secrets_manager("DeleteSecret", &body).map(drop)
    }

    /// Schedules a secret for deletion: until then it exists, and cannot be read.
    pub fn schedule_secret_deletion(&self, name: &str) -> Result<()> {
        let body = json!({ "SecretId": name, "RecoveryWindowInDays": 7 });
        self.secrets_manager("DeleteSecret", &body).map(drop)
    }

    /// Takes that back.
    pub fn restore_secret(&self, name: &str) -> Result<()> {
        self.secrets_manager("RestoreSecret", &json!({ "SecretId": name })).map(drop)
    }

    /// Gives a parameter of Parameter Store a value, in this region; makes it if there is none. `kind` is its type, such as
    /// `SecureString`.
    pub fn put_parameter(&self, region: &str, name: &str, kind: &str, value: &str) -> Result<()> {
        let body = json!({ "Name": name, "Type": kind, "Value": value, "Overwrite": true });
        self.ssm(region, "PutParameter", &body).map(drop)
    }

    /// Removes a parameter.
    pub fn delete_parameter(&self, region: &str, name: &str) -> Result<()> {
        self.ssm(region, "DeleteParameter", &json!({ "Name": name })).map(drop)
    }

    /// Any action of Parameter Store.
    pub fn ssm(&self, region: &str, action: &str, body: &Value) -> Result<Value> {
        self.call_in(region, "ssm", action, body)
    }

    /// Makes an ECR repository.
    pub fn create_repository(&self, name: &str) -> Result<()> {
        self.ecr("CreateRepository", &json!({ "repositoryName": name })).map(drop)
    }

    /// Any action of Secrets Manager.
    pub fn secrets_manager(&self, action: &str, body: &Value) -> Result<Value> {
        self.call("secretsmanager", action, body)
    }

    /// Any action of ECR.
    pub fn ecr(&self, action: &str, body: &Value) -> Result<Value> {
        self.call("ecr", action, body)
    }

    fn call(&self, service: &str, action: &str, body: &Value) -> Result<Value> {
        self.call_in(REGION, service, action, body)
    }

    fn call_in(&self, region: &str, service: &str, action: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.raw(region, service, action, body)?;
        if status != 200 {
            bail!("{action}: {status} {answer}");
        }
        Ok(answer)
    }

    fn raw(&self, region: &str, service: &str, action: &str, body: &Value) -> Result<(u16, Value)> {
        let target = match service {
            "ecr" => format!("AmazonEC2ContainerRegistry_V20150921.{action}"),
            "ssm" => format!("AmazonSSM.{action}"),
            _ => format!("{service}.{action}"),
        };
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=lab/20200101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let answer = over_unix(
            &self.socket,
            &Request {
                method: "POST",
                host: &format!("{service}.{region}.amazonaws.com"),
                path: "/",
                headers: &[
                    ("Authorization", &scope),
                    ("Content-Type", "application/x-amz-json-1.1"),
                    ("X-Amz-Target", &target),
                ],
                body: body.to_string().as_bytes(),
            },
        )?;
        let body =
            if answer.body.is_empty() { Value::Null } else { answer.json().context(action.to_owned())? };
        Ok((answer.status, body))
    }
}

/// Replaces a file by a rename: nobody finds half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = path.with_extension("new");
    fs::write(&staged, bytes)?;
    Ok(fs::rename(staged, path)?)
}

/// What was noted of calls, in their order: a line of JSON for each.
pub(crate) fn read_notes<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
