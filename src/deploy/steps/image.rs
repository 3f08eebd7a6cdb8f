//! The image: which one the tag means, and its way here.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use super::StepError;
use crate::config::repository::EcrRepository;
use crate::deploy::run::Run;
use crate::host::docker::{DockerError, RegistryLogin};
use crate::journal::Fact;
use crate::release::ImageRef;

/// The tag is asked for once per deployment: from here on the digest is the release.
pub(super) async fn resolve(run: &mut Run<'_>) -> Result<Vec<Fact>, StepError> {
    let repository = repository(run).await?;
    let login = login(run, &repository).await?;
    let tag = run.config.settings.image.tag.clone();
    let (docker, repository) = (&run.host.docker, repository.to_string());
    let resolve = || docker.resolve(&repository, &tag, &login);
    let digest = resolve.retry(patience()).when(DockerError::is_passing_at_the_registry).await?;
    Ok(vec![Fact::Image(ImageRef { repository, digest })])
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
