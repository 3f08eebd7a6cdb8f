//! What the tests share.

use std::{collections::HashMap, net::Ipv4Addr};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    auth::DockerCredentials,
    errors::Error,
    models::{ContainerCreateBody, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum},
    query_parameters::{CreateContainerOptionsBuilder, CreateImageOptionsBuilder},
};
use fake_docker::{FakeDocker, Image};
use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const REPOSITORY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page";

/// A fake with a healthy image in its registry, and a client.
pub(crate) struct Bench {
    pub(crate) engine: FakeDocker,
    pub(crate) docker: Docker,
    _folder: tempfile::TempDir,
}

pub(crate) async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let engine = FakeDocker::start(folder.path()).await.unwrap();
    engine.add_image(Image::new(REPOSITORY, "latest", &Image::digest_of("one")));
    let docker = client(&engine);
    Bench { engine, docker, _folder: folder }
}

/// A bench whose image is pulled.
pub(crate) async fn stocked(image: Image) -> Bench {
    let bench = bench().await;
    bench.engine.add_image(image);
    pull(&bench.docker, None).await.unwrap();
    bench
}

pub(crate) fn image() -> Image {
    Image::new(REPOSITORY, "latest", &Image::digest_of("one"))
}

pub(crate) fn client(engine: &FakeDocker) -> Docker {
    Docker::connect_with_unix(engine.socket().to_str().unwrap(), 5, API_DEFAULT_VERSION).unwrap()
}

pub(crate) async fn pull(docker: &Docker, auth: Option<DockerCredentials>) -> Result<(), Error> {
    let options = CreateImageOptionsBuilder::default().from_image(REPOSITORY).tag("latest").build();
    let mut stream = docker.create_image(Some(options), None, auth);
    while let Some(line) = stream.next().await {
        line?;
    }
    Ok(())
}

/// A container's configuration with a restart policy and a published port.
pub(crate) fn body(policy: RestartPolicyNameEnum, host_port: Option<u16>) -> ContainerCreateBody {
    let binding = host_port
        .map(|port| vec![PortBinding { host_ip: Some(String::new()), host_port: Some(port.to_string()) }]);
    ContainerCreateBody {
        image: Some(format!("{REPOSITORY}:latest")),
        host_config: Some(HostConfig {
            restart_policy: Some(RestartPolicy { name: Some(policy), maximum_retry_count: None }),
            port_bindings: binding.map(|list| HashMap::from([("8000/tcp".to_owned(), Some(list))])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

pub(crate) async fn create(docker: &Docker, name: &str, body: ContainerCreateBody) -> Result<String, Error> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    docker.create_container(Some(options), body).await.map(|created| created.id)
}

pub(crate) async fn start(docker: &Docker, name: &str) -> Result<(), Error> {
    docker.start_container(name, None).await
}

pub(crate) async fn stop(docker: &Docker, name: &str) -> Result<(), Error> {
    docker.stop_container(name, None).await
}

/// Creates and starts.
pub(crate) async fn run(docker: &Docker, name: &str, policy: RestartPolicyNameEnum, port: Option<u16>) {
    create(docker, name, body(policy, port)).await.unwrap();
    start(docker, name).await.unwrap();
}

/// Status and message of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String) {
    match result {
        Err(Error::DockerResponseServerError { status_code, message }) => (status_code, message),
        other => panic!("not refused: {other:?}"),
    }
}

/// One plain HTTP call: its status.
pub(crate) async fn http_status(ip: Ipv4Addr, port: u16) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((ip, port)).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    status.ok_or_else(|| std::io::Error::other(text))
}
