//! Parameter Store: one parameter, or all below a path.

use std::collections::BTreeMap;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::Parameter;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use secrecy::SecretString;

use super::Aws;
use super::error::AwsError;
use super::request::Request;
use super::secret::{ParameterVersion, ParametersBelow, ParametersRead, SecretValue};

/// The most that one answer has.
const PAGE: i32 = 10;

/// How many parameters are asked for at a time: an account may ask for 40 a second.
const AT_A_TIME: usize = 8;

impl Aws {
    /// Reads one parameter.
    pub async fn parameter(&self, wanted: &ParameterVersion) -> Result<SecretValue, AwsError> {
        let request = Request::parameter(wanted);
        let client = Client::new(&self.config(&wanted.region).await);
        let name = match &wanted.selector {
            Some(selector) => format!("{}:{selector}", wanted.parameter),
            None => wanted.parameter.clone(),
        };
        let answer = client.get_parameter().name(name).with_decryption(true).send().await;
        let parameter = answer.map_err(|e| request.failed(e))?.parameter;
        parameter.and_then(value).ok_or_else(|| request.unusable("has no value"))
    }

    /// Reads all parameters below a path, each by its name without that; those that are `known` in that version, and then
    /// no others. One by one is asked for what has another version by now, or is gone.
    pub async fn parameters(&self, wanted: &ParametersBelow) -> Result<ParametersRead, AwsError> {
        let now = self.all_below(wanted).await?;
        let Some(known) = &wanted.known else {
            if now.is_empty() {
                let (path, region) = (wanted.path.clone(), wanted.region.clone());
                return Err(AwsError::NoneBelow { path, region });
            }
            return Ok(read(now));
        };
        let known_versions = versions_of(known);
        let (same, other): (Vec<_>, Vec<_>) = known_versions.into_iter().partition(|(field, number)| {
            now.get(*field).is_some_and(|value| number_of(&value.version) == *number)
        });
        let again = other.into_iter().map(|(field, number)| async move {
            let parameter = format!("{}/{field}", wanted.path);
            let selector = Some(number.to_owned());
            let one = ParameterVersion { parameter, region: wanted.region.clone(), selector };
            Ok::<_, AwsError>((field.to_owned(), self.parameter(&one).await?))
        });
        let mut values: BTreeMap<_, _> = stream::iter(again).buffered(AT_A_TIME).try_collect().await?;
        let same =
            same.into_iter().filter_map(|(field, _)| Some((field.to_owned(), now.get(field)?.clone())));
        values.extend(same);
        Ok(read(values))
    }

    async fn all_below(&self, wanted: &ParametersBelow) -> Result<BTreeMap<String, SecretValue>, AwsError> {
        let request = Request::parameters(wanted);
        let client = Client::new(&self.config(&wanted.region).await);
        let mut pages = client
            .get_parameters_by_path()
            .path(&wanted.path)
            .recursive(true)
            .with_decryption(true)
            .max_results(PAGE)
            .into_paginator()
            .send();
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for parameter in page.map_err(|e| request.failed(e))?.parameters.unwrap_or_default() {
                let field =
                    parameter.name().and_then(|name| name.strip_prefix(&wanted.path)?.strip_prefix('/'));
                let field = field.map(str::to_owned);
                let one = field.zip(value(parameter));
                let (field, value) =
                    one.ok_or_else(|| request.unusable("has a parameter without a value"))?;
                found.insert(field, value);
            }
        }
        Ok(found)
    }
}

/// The version of a parameter that was removed and made again begins at 1: its time tells the one from the other.
fn value(parameter: Parameter) -> Option<SecretValue> {
    let changed = parameter.last_modified_date().map(aws_sdk_ssm::primitives::DateTime::secs);
    let changed = changed.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let version = match changed {
        Some(changed) => format!("{}@{changed}", parameter.version()),
        None => parameter.version().to_string(),
    };
    Some(SecretValue { text: SecretString::from(parameter.value?), version })
}

/// The number in a version.
pub(super) fn number_of(version: &str) -> &str {
    version.split('@').next().unwrap_or_default()
}

/// `host:3@TIME smtp/port:1@TIME`: names have no colons and no spaces.
fn read(values: BTreeMap<String, SecretValue>) -> ParametersRead {
    let versions: Vec<String> =
        values.iter().map(|(field, value)| format!("{field}:{}", value.version)).collect();
    let texts = values.into_iter().map(|(field, value)| (field, value.text)).collect();
    ParametersRead { texts, version: versions.join(" ") }
}

/// The numbers in that, by the names.
fn versions_of(versions: &str) -> BTreeMap<&str, &str> {
    let of_one = |one| str::split_once(one, ':').map(|(field, version)| (field, number_of(version)));
    versions.split(' ').filter_map(of_one).collect()
}
