//! The second table of the Engine's answers, row by row.

use crate::common::{Bench, bench, body, create, image, pull, refusal, run, start, stocked, stop};
use bollard::{
    models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum as Policy},
    query_parameters::{RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder},
};
use fake_docker::{Behaviour, Image};

async fn rename(bench: &Bench, from: &str, to: &str) -> Result<(), bollard::errors::Error> {
    let options = RenameContainerOptionsBuilder::default().name(to).build();
    bench.docker.rename_container(from, options).await
}

#[tokio::test]
async fn start_with_a_taken_host_port() {
    let bench = stocked(image()).await;
    run(&bench.docker, "old", Policy::NO, Some(80)).await;
    create(&bench.docker, "new", body(Policy::NO, Some(80))).await.unwrap();
    let (status, message) = refusal(start(&bench.docker, "new").await);
    assert_eq!(status, 500);
    assert!(message.ends_with("Bind for 0.0.0.0:80 failed: port is already allocated"), "{message}");
    let new = bench.docker.inspect_container("new", None).await.unwrap().state.unwrap();
    assert_eq!((new.status.unwrap().to_string().as_str(), new.exit_code), ("created", Some(128)));
    assert_eq!(new.error, Some(message));
    stop(&bench.docker, "old").await.unwrap();
    start(&bench.docker, "new").await.unwrap();
    let new = bench.docker.inspect_container("new", None).await.unwrap().state.unwrap();
    assert_eq!((new.exit_code, new.error.as_deref()), (Some(0), Some("")));
    let (status, _) = refusal(start(&bench.docker, "old").await);
    let old = bench.engine.container("old").unwrap();
    assert_eq!((status, old.status.as_str(), old.exit_code), (500, "exited", 128));
}

#[tokio::test]
async fn start_without_its_entrypoint() {
    let bench = stocked(image().behaving(Behaviour::EntrypointMissing)).await;
    create(&bench.docker, "web", body(Policy::NO, None)).await.unwrap();
    let (status, message) = refusal(start(&bench.docker, "web").await);
    assert_eq!(status, 400);
    assert!(message.contains("exec: \"/app\": stat /app: no such file or directory"), "{message}");
    let web = bench.engine.container("web").unwrap();
    assert_eq!((web.status.as_str(), web.exit_code), ("created", 127));
}

#[tokio::test]
async fn start_a_running_one_and_stop_a_stopped_one() {
    let bench = stocked(image()).await;
    run(&bench.docker, "web", Policy::NO, None).await;
    let before = bench.engine.inspect_hash("web");
    start(&bench.docker, "web").await.unwrap();
    assert_eq!(bench.engine.inspect_hash("web"), before);
    stop(&bench.docker, "web").await.unwrap();
    stop(&bench.docker, "web").await.unwrap();
    let statuses: Vec<_> = bench.engine.calls().iter().rev().take(3).map(|call| call.status).collect();
    assert_eq!(statuses, [Some(304), Some(204), Some(304)]);
}

#[tokio::test]
async fn an_unknown_container() {
    let bench = bench().await;
    let unknown = (404, "No such container: nope".to_owned());
    assert_eq!(refusal(start(&bench.docker, "nope").await), unknown);
    assert_eq!(refusal(stop(&bench.docker, "nope").await), unknown);
    assert_eq!(refusal(bench.docker.inspect_container("nope", None).await), unknown);
    assert_eq!(refusal(bench.docker.remove_container("nope", None).await), unknown);
    assert_eq!(refusal(rename(&bench, "nope", "nopes").await), unknown);
    let (status, message) = refusal(bench.docker.kill_container("nope", None).await);
    assert_eq!((status, message.as_str()), (404, "Cannot kill container: nope: No such container: nope"));
}

#[tokio::test]
async fn a_name_in_use() {
    let bench = stocked(image()).await;
    let id = create(&bench.docker, "web", body(Policy::NO, None)).await.unwrap();
    let text = format!(
        "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove \
         (or rename) that container to be able to reuse that name."
    );
    let again = create(&bench.docker, "web", body(Policy::NO, None)).await;
    assert_eq!(refusal(again), (409, text.clone()));
    create(&bench.docker, "other", body(Policy::NO, None)).await.unwrap();
    let taken = refusal(rename(&bench, "other", "web").await);
    assert_eq!(taken, (409, format!("Error when allocating new name: {text}")));
    rename(&bench, "web", "web.r1").await.unwrap();
    rename(&bench, "other", "web").await.unwrap();
    let names: Vec<_> = bench.engine.containers().into_iter().map(|c| c.name).collect();
    assert_eq!(names, ["web.r1", "web"]);
}

#[tokio::test]
async fn rename_to_its_own_name_or_to_one_letter() {
    let bench = stocked(image()).await;
    create(&bench.docker, "web", body(Policy::NO, None)).await.unwrap();
    let (status, message) = refusal(rename(&bench, "web", "web").await);
    assert_eq!(
        (status, message.as_str()),
        (400, "Renaming a container with the same name as its current name")
    );
    let (status, message) = refusal(rename(&bench, "web", "x").await);
    assert_eq!(status, 400);
    assert!(message.contains("Invalid container name (/x)"), "{message}");
    let (status, message) = refusal(create(&bench.docker, "x", body(Policy::NO, None)).await);
    assert_eq!(status, 400);
    assert!(message.contains("Invalid container name (x)"), "{message}");
}

#[tokio::test]
async fn remove_a_running_one() {
    let bench = stocked(image()).await;
    run(&bench.docker, "web", Policy::NO, None).await;
    let (status, message) = refusal(bench.docker.remove_container("web", None).await);
    assert_eq!(status, 409);
    assert!(message.starts_with("You cannot remove a running container "), "{message}");
    let force = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    bench.docker.remove_container("web", Some(force)).await.unwrap();
    assert!(bench.engine.containers().is_empty());
}

#[tokio::test]
async fn update_the_restart_policy_in_any_state() {
    let bench = stocked(image()).await;
    let update = |name: Policy| ContainerUpdateBody {
        restart_policy: Some(RestartPolicy { name: Some(name), maximum_retry_count: None }),
        ..ContainerUpdateBody::default()
    };
    create(&bench.docker, "web", body(Policy::NO, None)).await.unwrap();
    let policy = || bench.engine.container("web").unwrap().restart_policy;
    bench.docker.update_container("web", update(Policy::UNLESS_STOPPED)).await.unwrap();
    assert_eq!(policy(), "unless-stopped");
    start(&bench.docker, "web").await.unwrap();
    bench.docker.update_container("web", update(Policy::ALWAYS)).await.unwrap();
    assert_eq!(policy(), "always");
    stop(&bench.docker, "web").await.unwrap();
    bench.docker.update_container("web", update(Policy::NO)).await.unwrap();
    assert_eq!(policy(), "no");
    let inspect = bench.docker.inspect_container("web", None).await.unwrap();
    let shown = inspect.host_config.unwrap().restart_policy.unwrap().name;
    assert_eq!(shown, Some(Policy::NO));
}

#[tokio::test]
async fn create_from_an_image_that_is_not_here() {
    let bench = bench().await;
    let (status, message) = refusal(create(&bench.docker, "web", body(Policy::NO, None)).await);
    assert_eq!((status, message), (404, format!("No such image: {}:latest", crate::common::REPOSITORY)));
}

#[tokio::test]
async fn pull_without_the_auth_it_needs() {
    let bench = bench().await;
    bench.engine.add_image(
        Image::new(crate::common::REPOSITORY, "latest", &Image::digest_of("two")).guarded("AWS", "token"),
    );
    bench.engine.forget_image(crate::common::REPOSITORY, &Image::digest_of("one"));
    let (status, message) = refusal(pull(&bench.docker, None).await);
    assert_eq!(status, 500);
    assert!(message.ends_with("no basic auth credentials"), "{message}");
    let given = |password: &str| bollard::auth::DockerCredentials {
        username: Some("AWS".to_owned()),
        password: Some(password.to_owned()),
        ..bollard::auth::DockerCredentials::default()
    };
    let unauthorized = "unauthorized: authentication required".to_owned();
    let wrong = pull(&bench.docker, Some(given("wrong"))).await;
    assert_eq!(refusal(wrong), (500, unauthorized.clone()));
    // bollard writes the standard alphabet of base64, the Engine reads the URL-safe one and takes what it cannot read
    // for nothing: a password with `?`, `>` or `~` in an unlucky place never arrives. ECR's tokens have none of these.
    let lost = pull(&bench.docker, Some(given("???"))).await;
    assert!(refusal(lost).1.ends_with("no basic auth credentials"));
    pull(&bench.docker, Some(given("token"))).await.unwrap();
    let name = format!("{}:latest", crate::common::REPOSITORY);
    let wrong = bench.docker.inspect_registry_image(&name, Some(given("wrong"))).await;
    assert_eq!(refusal(wrong), (401, unauthorized));
    let unknown = format!("{}:none", crate::common::REPOSITORY);
    let unknown = bench.docker.inspect_registry_image(&unknown, Some(given("token"))).await;
    assert_eq!(refusal(unknown), (404, "manifest unknown: manifest unknown".to_owned()));
    let described = bench.docker.inspect_registry_image(&name, Some(given("token")));
    let digest = described.await.unwrap().descriptor.digest;
    assert_eq!(digest, Some(Image::digest_of("two")));
}
