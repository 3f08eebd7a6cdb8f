//! What is asked of AWS, in the words of people and of IAM.

use super::secret::{ParameterVersion, ParametersBelow, SecretVersion};

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    /// The password of a registry, by its host, in a region.
    Password(&'a str, &'a str),
    /// A secret of Secrets Manager.
    Secret(&'a SecretVersion),
    /// A parameter of Parameter Store.
    Parameter(&'a ParameterVersion),
    /// All parameters below a path.
    Parameters(&'a ParametersBelow),
    /// A deployment of `CodeDeploy`'s, by its id, in a region.
    Deployment(&'a str, &'a str),
}

impl Subject<'_> {
    /// What is done, in words that follow "to".
    pub(super) fn act(self) -> String {
        let action = self.action();
        match self {
            Self::Password(registry, region) => {
                format!("get a password for registry '{registry}' in {region} ({action})")
            }
            Self::Secret(version) => format!("read secret '{}' ({action})", version.secret),
            Self::Parameter(version) => {
                let selector = version.selector.as_ref().map(|selector| format!(":{selector}"));
                format!("read parameter '{}{}' ({action})", version.parameter, selector.unwrap_or_default())
            }
            Self::Parameters(below) => format!("read the parameters below '{}/' ({action})", below.path),
            Self::Deployment(id, _) => format!("read deployment '{id}' ({action})"),
        }
    }

    /// IAM's name of that.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Password(..) => "ecr:GetAuthorizationToken",
            Self::Secret(_) => "secretsmanager:GetSecretValue",
            Self::Parameter(_) => "ssm:GetParameter",
            Self::Parameters(_) => "ssm:GetParametersByPath",
            Self::Deployment(..) => "codedeploy:GetDeployment",
        }
    }

    /// What it is done with, as a policy names it.
    pub(super) fn resource(self) -> String {
        match self {
            Self::Password(..) => "*".to_owned(),
            // By its deployment group (Service Authorization Reference).
            Self::Deployment(_, region) => {
                format!("arn:aws:codedeploy:{region}:ACCOUNT:deploymentgroup:APPLICATION/GROUP")
            }
            Self::Secret(version) if version.secret.starts_with("arn:") => version.secret.clone(),
            // Secrets Manager adds six random characters to a name.
            Self::Secret(version) => {
                format!("arn:aws:secretsmanager:{}:ACCOUNT:secret:{}-??????", version.region, version.secret)
            }
            Self::Parameter(version) if version.parameter.starts_with("arn:") => version.parameter.clone(),
            Self::Parameter(version) => parameter(&version.region, &version.parameter),
            Self::Parameters(below) => {
                let path = parameter(&below.region, &below.path);
                format!("{path} and {path}/*")
            }
        }
    }

    /// Where it is.
    pub(super) fn region(self) -> String {
        match self {
            Self::Password(_, region) | Self::Deployment(_, region) => region.to_owned(),
            Self::Secret(SecretVersion { region, .. })
            | Self::Parameter(ParameterVersion { region, .. })
            | Self::Parameters(ParametersBelow { region, .. }) => region.clone(),
        }
    }

    /// The service, as the name of its VPC endpoint spells it.
    pub(super) fn endpoint(self) -> &'static str {
        match self {
            Self::Password(..) => "ecr.api",
            Self::Secret(_) => "secretsmanager",
            Self::Parameter(_) | Self::Parameters(_) => "ssm",
            Self::Deployment(..) => "codedeploy",
        }
    }

    /// The host that is asked.
    pub(super) fn host(self) -> String {
        let service = if matches!(self, Self::Password(..)) { "api.ecr" } else { self.endpoint() };
        format!("{service}.{}.amazonaws.com", self.region())
    }

    /// What a key encrypts, if this may be encrypted with one of the account's.
    pub(super) fn encrypted(self) -> Option<String> {
        match self {
            Self::Password(..) | Self::Deployment(..) => None,
            Self::Secret(version) => Some(format!("'{}'", version.secret)),
            Self::Parameter(version) => Some(format!("'{}'", version.parameter)),
            Self::Parameters(below) => Some(format!("the parameters below '{}/'", below.path)),
        }
    }

    /// The command that names that key.
    pub(super) fn names_its_key(self) -> String {
        let region = self.region();
        match self {
            Self::Password(..) | Self::Deployment(..) => String::new(),
            Self::Secret(version) => {
                format!("aws secretsmanager describe-secret --secret-id {} --region {region}", version.secret)
            }
            Self::Parameter(version) => format!(
                "aws ssm describe-parameters --parameter-filters Key=Name,Values={} --region {region}",
                name_of(version)
            ),
            Self::Parameters(below) => format!(
                "aws ssm describe-parameters --parameter-filters Key=Path,Option=Recursive,Values={} --region {region}",
                below.path
            ),
        }
    }
}

/// The name of a parameter that may be an ARN: `arn:aws:ssm:REGION:ACCOUNT:parameter/prod/app` is `/prod/app`.
pub(super) fn name_of(version: &ParameterVersion) -> String {
    match version.parameter.split_once(":parameter/") {
        Some((_, rest)) if rest.contains('/') => format!("/{rest}"),
        Some((_, rest)) => rest.to_owned(),
        None => version.parameter.clone(),
    }
}

/// Slashes at the beginning of a name are not doubled in its ARN.
fn parameter(region: &str, name: &str) -> String {
    format!("arn:aws:ssm:{region}:ACCOUNT:parameter/{}", name.trim_start_matches('/'))
}
