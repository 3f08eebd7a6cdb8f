//! Names of secrets of Secrets Manager.

use std::fmt;

use serde::Serialize;

use super::arn;

/// A secret's name or ARN, or the long form of the ECS agent
/// (amazon-ecs-agent, `agent/taskresource/asmsecret/asmsecret.go`):
/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME:KEY:STAGE:VERSION`, where the last three may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct SecretId {
    written: String,
    /// Its name or ARN, as Secrets Manager takes it.
    pub secret: String,
    /// The region in its ARN.
    pub region: Option<String>,
    /// The one key of its JSON object to use.
    pub key: Option<String>,
    /// The staging label; Secrets Manager takes `AWSCURRENT` when there is none.
    pub stage: Option<String>,
    /// The version's id.
    pub version: Option<String>,
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl From<SecretId> for String {
    fn from(id: SecretId) -> String {
        id.written
    }
}

pub(super) const FORMS: &str =
    "write a name, an ARN, or an ARN with :KEY:STAGE:VERSION, where each may be empty";

impl std::str::FromStr for SecretId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |secret: &str, region: Option<&str>| Self {
            written: text.to_owned(),
            secret: secret.to_owned(),
            region: region.map(str::to_owned),
            key: None,
            stage: None,
            version: None,
        };
        if !text.starts_with("arn:") {
            return is_name(text).map(|()| plain(text, None));
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (["arn", partition, "secretsmanager", region, account, "secret", name], rest) =
            parts.split_at(parts.len().min(7))
        else {
            let is_parameter = text.split(':').nth(2) == Some("ssm");
            let other = if is_parameter { ", but of a parameter: write parameter = \"...\"" } else { "" };
            return Err(format!("this is not the ARN of a secret{other}"));
        };
        if !arn::is_place(partition, region, account) {
            return Err(arn::NO_PLACE.to_owned());
        }
        is_name(name)?;
        let own = |part: &str| Some(part.to_owned()).filter(|part| !part.is_empty());
        let secret = parts[..7].join(":");
        match rest {
            [] => Ok(plain(&secret, Some(region))),
            [key, stage, version] => Ok(Self {
                key: own(key),
                stage: own(stage),
                version: own(version),
                ..plain(&secret, Some(region))
            }),
            _ => Err(format!(
                "this ARN has {} colons; the ARN of a secret has 6, or 9 with key, stage and version",
                parts.len() - 1
            )),
        }
    }
}

/// What Secrets Manager allows in a name (`CreateSecret`), and the `!` in those that services make.
fn is_name(name: &str) -> Result<(), String> {
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !"/_+=.@-!".contains(*c)) {
        Some(other) => Err(format!("the name of a secret cannot contain '{other}'")),
        None if name.is_empty() || name.len() > 512 => {
            Err("the name of a secret has 1 to 512 characters".to_owned())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf";

    fn parts(text: &str) -> [Option<String>; 5] {
        let id: SecretId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        [Some(id.secret), id.region, id.key, id.stage, id.version]
    }

    fn some<const N: usize>(parts: [&str; N]) -> [Option<String>; N] {
        parts.map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()))
    }

    #[test]
    fn names_and_arns_of_every_form() {
        assert_eq!(parts("rds!db-0123"), some(["rds!db-0123", "", "", "", ""]));
        assert_eq!(parts(ARN), some([ARN, "eu-west-1", "", "", ""]));
        for (tail, [key, stage, version]) in [
            (":::", ["", "", ""]),
            (":password::", ["password", "", ""]),
            ("::AWSPREVIOUS:", ["", "AWSPREVIOUS", ""]),
            (":::9d4cb84b", ["", "", "9d4cb84b"]),
            (":password:AWSPREVIOUS:9d4cb84b", ["password", "AWSPREVIOUS", "9d4cb84b"]),
        ] {
            assert_eq!(parts(&format!("{ARN}{tail}")), some([ARN, "eu-west-1", key, stage, version]));
        }
        for partition in ["aws-cn", "aws-us-gov", "aws-eusc"] {
            let arn = ARN.replacen("aws", partition, 1);
            assert_eq!(parts(&format!("{arn}:k::")), some([arn.as_str(), "eu-west-1", "k", "", ""]));
        }
    }

    #[test]
    fn what_is_not_a_secret_is_refused() {
        for (text, why) in [
            (String::new(), "1 to 512"),
            ("prod:db".to_owned(), "':'"),
            ("prod db".to_owned(), "' '"),
            (format!("{ARN}:password"), "has 7 colons"),
            (format!("{ARN}:a:b"), "has 8 colons"),
            (format!("{ARN}:a:b:c:d"), "has 10 colons"),
            (ARN.replace("secretsmanager", "ssm"), "not the ARN of a secret"),
            (ARN.replace("123456789012", "1234"), "account"),
            (ARN.replace("eu-west-1", ""), "region"),
            ("arn:aws:secretsmanager:eu-west-1".to_owned(), "not the ARN of a secret"),
        ] {
            let error = text.parse::<SecretId>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
