//! Names of parameters of Parameter Store, and paths that have some below them.

use std::fmt;

use serde::Serialize;

use super::arn;

/// One parameter: its name or its ARN, and behind it `:VERSION` or `:LABEL` where it is not to be the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct ParameterId {
    written: String,
    /// Its name or ARN.
    pub parameter: String,
    /// The region in its ARN.
    pub region: Option<String>,
    /// The number of a version, or a label.
    pub selector: Option<String>,
}

impl fmt::Display for ParameterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl From<ParameterId> for String {
    fn from(id: ParameterId) -> String {
        id.written
    }
}

impl std::str::FromStr for ParameterId {
    type Err = Wrong;
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let parts: Vec<&str> = text.split(':').collect();
        let (place, rest) =
            if parts[0] == "arn" { parts.split_at(parts.len().min(6)) } else { parts.split_at(1) };
        let region = match place {
            ["arn", partition, "ssm", region, account, resource] => {
                if !arn::is_place(partition, region, account) {
                    return Err(Wrong::new(arn::NO_PLACE, FORMS));
                }
                let Some(name) = resource.strip_prefix("parameter/").filter(|name| !name.is_empty()) else {
                    return Err(Wrong::new("this is not the ARN of a parameter", FORMS));
                };
                is_name(&if name.contains('/') { format!("/{name}") } else { name.to_owned() })?;
                Some((*region).to_owned())
            }
            ["arn", _, "secretsmanager", ..] => {
                let help = format!("write id = \"{text}\"");
                return Err(Wrong::new("this is the ARN of a secret of Secrets Manager", help));
            }
            ["arn", ..] => return Err(Wrong::new("this is not the ARN of a parameter", FORMS)),
            [name] => is_name(name).map(|()| None)?,
            _ => None,
        };
        let selector = match rest {
            [] => None,
            [selector] if is_selector(selector) => Some((*selector).to_owned()),
            _ => {
                let what = format!("':{}' is neither the number of a version nor a label", rest.join(":"));
                return Err(Wrong::new(what, FORMS));
            }
        };
        Ok(Self { written: text.to_owned(), parameter: place.join(":"), region, selector })
    }
}

/// What has parameters below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct ParameterPath(String);

impl ParameterPath {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParameterPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.0)
    }
}

impl From<ParameterPath> for String {
    fn from(path: ParameterPath) -> String {
        path.to_string()
    }
}

impl std::str::FromStr for ParameterPath {
    type Err = Wrong;
    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text.starts_with("arn:") {
            let what = "AWS takes no ARN for all parameters below a path";
            return Err(Wrong::new(
                what,
                "write the path, such as \"/prod/app/\", or one parameter by its ARN",
            ));
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Err(Wrong::new("this path has every parameter of the account below it", PATH));
        }
        if !path.starts_with('/') {
            return Err(Wrong::new(format!("'{text}' is not a path of parameters"), PATH));
        }
        is_name(path).map(|()| Self(path.to_owned()))
    }
}

/// What is wrong with a name, and the fix.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub what: String,
    /// The fix.
    pub help: String,
}

impl Wrong {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

const FORMS: &str = "write a name such as \"/prod/app/token\", or an ARN; with :VERSION or :LABEL behind it for another version than the newest";
const PATH: &str = "write the beginning that their names have in common, such as \"/prod/app/\"";

/// What Parameter Store allows (`PutParameter`): a name that has slashes begins with one.
fn is_name(name: &str) -> Result<(), Wrong> {
    const LONGEST: usize = 1011;
    const LEVELS: usize = 15;
    let wrong = |what: String, help: String| Err(Wrong { what, help });
    if let Some(other) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"/_.-".contains(*c)) {
        return wrong(format!("the name of a parameter cannot contain '{other}'"), FORMS.to_owned());
    }
    if name.is_empty() || name.len() > LONGEST {
        return wrong(format!("the name of a parameter has 1 to {LONGEST} characters"), FORMS.to_owned());
    }
    if let Some(secret) = name.strip_prefix("/aws/reference/secretsmanager/") {
        let what = "a secret that is read through Parameter Store has no versions there".to_owned();
        return wrong(what, format!("write id = \"{secret}\""));
    }
    if let Some(path) = name.strip_suffix('/') {
        return wrong(
            format!("'{name}' is a path, and not the name of a parameter"),
            format!("write parameters = \"{path}/\" for all that are below it"),
        );
    }
    if name.contains('/') && !name.starts_with('/') {
        let what = format!("'{name}' is not the name of a parameter: one that has slashes begins with one");
        return wrong(what, format!("write \"/{name}\""));
    }
    if name.contains("//") {
        return wrong(format!("'{name}' has two slashes in a row"), FORMS.to_owned());
    }
    if name.matches('/').count() > LEVELS {
        return wrong(format!("the name of a parameter has at most {LEVELS} levels"), FORMS.to_owned());
    }
    Ok(())
}

fn is_selector(text: &str) -> bool {
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    !text.is_empty() && is_word && (!is_number || text.parse::<u64>().is_ok_and(|number| number > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/app/token";

    fn parts(text: &str) -> (String, Option<String>, Option<String>) {
        let id: ParameterId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        (id.parameter, id.region, id.selector)
    }

    #[test]
    fn names_and_arns_of_every_form() {
        for name in ["/prod/app/token", "token", "/a", "/aws/service/x/y", "/A_b.c-d/9"] {
            assert_eq!(parts(name), (name.to_owned(), None, None));
            for selector in ["1", "17", "stable", "a.b-c_d"] {
                let written = format!("{name}:{selector}");
                assert_eq!(parts(&written), (name.to_owned(), None, Some(selector.to_owned())));
            }
        }
        let region = || Some("eu-west-1".to_owned());
        assert_eq!(parts(ARN), (ARN.to_owned(), region(), None));
        assert_eq!(parts(&format!("{ARN}:3")), (ARN.to_owned(), region(), Some("3".to_owned())));
        let plain = "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/token";
        assert_eq!(parts(plain), (plain.to_owned(), Some("cn-north-1".to_owned()), None));
    }

    #[test]
    fn what_is_no_parameter_is_refused_with_what_to_write() {
        for (text, what, help) in [
            ("", "1 to 1011", "ARN"),
            ("prod/app/token", "begins with one", "write \"/prod/app/token\""),
            ("/prod/app/", "is a path", "parameters = \"/prod/app/\""),
            ("/prod//app", "two slashes", "\"/prod/app/token\""),
            ("/prod/app token", "' '", "such as"),
            ("/prod/app:0", "':0'", ":LABEL"),
            ("/prod/app:3x", "':3x'", ":LABEL"),
            ("/prod/app:", "':'", ":LABEL"),
            ("/prod/app:a:b", "':a:b'", ":LABEL"),
            ("/aws/reference/secretsmanager/prod/db", "Parameter Store", "id = \"prod/db\""),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
                "Secrets Manager",
                "id = \"arn:aws:secretsmanager",
            ),
            ("arn:aws:ssm:eu-west-1:123456789012:document/x", "not the ARN of a parameter", "ARN"),
            ("arn:aws:ssm:eu-west-1:1234:parameter/x", "account", ""),
            ("arn:aws:ssm::123456789012:parameter/x", "region", ""),
            ("arn:aws:ssm", "not the ARN of a parameter", "ARN"),
            (&"/x".repeat(16), "15 levels", ""),
            (&format!("{ARN}/"), "is a path", "parameters"),
        ] {
            let wrong = text.parse::<ParameterId>().unwrap_err();
            assert!(wrong.what.contains(what) && wrong.help.contains(help), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn a_path_is_the_same_with_and_without_a_slash_at_its_end() {
        for text in ["/prod/app", "/prod/app/"] {
            let path: ParameterPath = text.parse().unwrap();
            assert_eq!((path.as_str(), path.to_string().as_str()), ("/prod/app", "/prod/app/"));
        }
        for (text, what) in [
            ("", "every parameter"),
            ("/", "every parameter"),
            ("prod/app/", "not a path"),
            ("/prod/app//", "is a path"),
            ("/prod//app", "two slashes"),
            ("/prod/app:3", "':'"),
            (ARN, "no ARN"),
        ] {
            let wrong = text.parse::<ParameterPath>().unwrap_err();
            assert!(wrong.what.contains(what), "{text}: {wrong:?}");
        }
    }
}
