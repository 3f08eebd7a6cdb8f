//! ECR: the registry's password.

use base64::Engine as _;
use secrecy::SecretString;

use super::Aws;
use super::error::AwsError;
use super::request::Request;
use crate::host::docker::RegistryLogin;

impl Aws {
    /// The password of a registry, valid for twelve hours, so asked for once in the process that pulls. The token of one
    /// region is good for the registries of every account there, if their policies let this role in; not for another region.
    pub async fn registry_login(&self, registry: &str, region: &str) -> Result<RegistryLogin, AwsError> {
        let request = Request::registry_password(registry, region);
        let client = aws_sdk_ecr::Client::new(&self.config(region).await);
        let answer = client.get_authorization_token().send().await.map_err(|e| request.failed(e))?;
        let unusable = |what| request.unusable(what);
        let token = answer
            .authorization_data()
            .first()
            .and_then(|data| data.authorization_token())
            .ok_or_else(|| unusable("has no token"))?;
        let plain = base64::engine::general_purpose::STANDARD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| unusable("has a token that is not Base64"))?;
        let (user, password) = plain.split_once(':').ok_or_else(|| unusable("has a token without a user"))?;
        Ok(RegistryLogin {
            user: user.to_owned(),
            password: SecretString::from(password),
            host: registry.to_owned(),
        })
    }
}
