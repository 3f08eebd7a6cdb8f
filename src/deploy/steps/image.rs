//! The image: which one the tag means, and its way here.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use super::StepError;
use crate::config::Settings;
use crate::config::repository::EcrRepository;
use crate::deploy::run::Run;
use crate::host::Host;
use crate::host::docker::{DockerError, RegistryLogin};
use crate::journal::Fact;
use crate::release::ImageRef;
use crate::report::text::chain;

/// What a tag means.
pub(in crate::deploy) struct Resolved {
    /// The image.
    pub(in crate::deploy) image: ImageRef,
    /// How much of it is to be pulled.
    pub(in crate::deploy) to_pull: ToPull,
    /// The registry's password.
    pub(in crate::deploy) login: RegistryLogin,
}

/// How much of an image is to be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploy) enum ToPull {
    /// It is here.
    Nothing,
    /// So many bytes, compressed.
    Bytes(u64),
    /// The registry does not say.
    Unknown,
}

/// The tag is asked for once per deployment: from here on the digest is the release.
pub(in crate::deploy) async fn resolve(host: &Host, settings: &Settings) -> Result<Resolved, String> {
    look_up(host, settings).await.map_err(|error| chain(error.as_ref()))
}

async fn look_up(host: &Host, settings: &Settings) -> Result<Resolved, Box<dyn std::error::Error>> {
    let aws = host.aws.get().await?;
    let repository = aws.whole_name(&settings.image.repository).await?;
    let login = aws.registry_login(&repository).await?;
    let name = repository.to_string();
    let resolve = || host.docker.resolve(&name, &settings.image.tag, &login);
    let digest = resolve.retry(patience()).when(DockerError::is_passing_at_the_registry).await?;
    let image = ImageRef { repository: name, digest };
    let to_pull = if host.docker.has_image(&image).await? { ToPull::Nothing } else { ToPull::Unknown };
    Ok(Resolved { image, to_pull, login })
}

/// Three tries in all, as far apart as the ECS agent's (`agent/dockerclient/dockerapi/docker_client.go`), with jitter: a
/// fleet asks at the same time.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(1_100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .with_max_times(2)
}

/// Pulls by digest. An image that is here is not pulled again.
pub(super) async fn pull(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    let image = run
        .journal
        .history()
        .image()
        .cloned()
        .ok_or_else(|| StepError::because("the journal does not say which image was resolved"))?;
    if run.host.docker.has_image(&image).await? {
        return Ok(vec![]);
    }
    let repository = repository(run).await?;
    let login = login(run, &repository).await?;
    let talk = run.talk;
    let docker = &run.host.docker;
    let pull = || docker.pull(&image, &login, |progress| talk.progress(progress.done, progress.total));
    pull.retry(patience()).when(DockerError::is_passing_at_the_registry).await?;
    Ok(vec![])
}

async fn repository(run: &Run<'_>) -> Result<EcrRepository, StepError> {
    Ok(run.host.aws.get().await?.whole_name(&run.config.settings.image.repository).await?)
}

async fn login(run: &mut Run<'_>, repository: &EcrRepository) -> Result<RegistryLogin, StepError> {
    use secrecy::ExposeSecret as _;
    if let Some(login) = &run.login {
        return Ok(login.clone());
    }
    let login = run.host.aws.get().await?.registry_login(repository).await?;
    run.redactor.learn(login.password.expose_secret());
    run.login = Some(login.clone());
    Ok(login)
}
