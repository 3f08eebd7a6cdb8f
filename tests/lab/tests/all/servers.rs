//! The servers of other people that stand around the application: nginx before it, PostgreSQL and Redis behind it, in
//! containers of one network, where they find each other by name.

use lab::names::{REPOSITORY, REPOSITORY_URL};
use lab::{Docker, ImageSpec, Instance, Lab, registry_authorization, wait_until};
use serde_json::{Value, json};

use crate::support::{SOON, answer, backends, end_of, state};

const NETWORK: &str = "status-page";

/// The front server's site, as a template of a bundle would make it.
const SITE: &str = "server {
  listen 80;
  location /static/ { alias /static/; }
  location / { proxy_pass http://web:8000; proxy_set_header Host $host; proxy_connect_timeout 1s; }
}
";

/// An instance with the images of these tags, and the network.
fn instance(lab: &Lab, images: &[(&str, ImageSpec)]) -> (Instance, Docker) {
    for (tag, spec) in images {
        lab.registry().push_image(REPOSITORY, tag, spec).unwrap();
    }
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    for (tag, _) in images {
        docker.pull(&format!("{REPOSITORY_URL}:{tag}"), Some(&registry_authorization())).unwrap();
    }
    docker.post("/networks/create", &json!({ "Name": NETWORK })).unwrap();
    (instance, docker)
}

/// Runs a container in the network, where it is found by its name.
fn run(docker: &Docker, name: &str, tag: &str, settings: Value) {
    let mut all = json!({
        "Image": format!("{REPOSITORY_URL}:{tag}"),
        "NetworkingConfig": { "EndpointsConfig": { NETWORK: { "Aliases": [name] } } },
    });
    all["HostConfig"] = json!({ "NetworkMode": NETWORK });
    for (key, value) in settings.as_object().unwrap() {
        match value.as_object().filter(|_| key == "HostConfig") {
            Some(host) => host.iter().for_each(|(key, value)| all["HostConfig"][key] = value.clone()),
            None => all[key] = value.clone(),
        }
    }
    docker.run(name, &all).unwrap();
}

#[test]
fn nginx_serves_files_of_the_release_and_the_web_server_behind_it() {
    let lab = Lab::up().unwrap();
    let images = [("1", ImageSpec::new("1")), ("front-1", ImageSpec::front("1").unwrap())];
    let (instance, docker) = instance(&lab, &images);
    let mut write = instance.command("sh");
    let written = write.args(["-c", &format!("mkdir -p /srv && cat > /srv/site.conf <<'end'\n{SITE}end\n")]);
    assert!(written.status().unwrap().success());
    let front = json!({ "HostConfig": {
        "Binds": ["/srv/site.conf:/etc/nginx/conf.d/site.conf:ro", "static:/static:ro"],
        "PortBindings": { "80/tcp": [{ "HostPort": "8000" }] },
    } });

    // Without a web server it does not start, and says why.
    run(&docker, "front", "front-1", front);
    assert_eq!(end_of(&instance, "front")["ExitCode"], 1);
    let said = docker.logs("front").unwrap();
    assert!(said.contains("host not found in upstream \"web\" in /etc/nginx/conf.d/site.conf:4"), "{said}");

    run(&docker, "web", "1", json!({ "Env": backends() }));
    let collect = json!({ "Cmd": ["collect", "/static"], "HostConfig": { "Binds": ["static:/static"] } });
    run(&docker, "collect", "1", collect);
    assert_eq!(end_of(&instance, "collect")["ExitCode"], 0, "{}", docker.logs("collect").unwrap());
    docker.post("/containers/front/start", &json!(null)).unwrap();
    let told = answer(&lab, &instance, "/");
    let web = docker.inspect("web").unwrap().unwrap();
    assert_eq!((&told["release"], &told["container"]), (&json!("1"), &web["Config"]["Hostname"]));
    let address = format!("http://{}:8000", instance.ip());
    let file = lab.http_get(&format!("{address}/static/release.txt")).unwrap();
    assert_eq!((file.status, file.text().trim()), (200, "1"));
    let css = lab.http_get(&format!("{address}/static/app.css")).unwrap();
    assert_eq!(css.header("content-type"), Some("text/css"));

    // It ends by itself when asked, and sees that its web server is gone.
    docker.post("/containers/web/stop?t=5", &json!(null)).unwrap();
    assert!(lab.http_get(&format!("{address}/ping")).unwrap().status >= 502);
    docker.post("/containers/front/stop?t=10", &json!(null)).unwrap();
    assert_eq!(state(&instance, "front")["ExitCode"], 0);
}

#[test]
fn postgresql_and_redis_stand_in_for_those_of_aws() {
    let lab = Lab::up().unwrap();
    let images = [
        ("1", ImageSpec::new("1").environment("SCHEMA", "1")),
        ("postgres", ImageSpec::postgres().unwrap()),
        ("redis", ImageSpec::redis().unwrap()),
    ];
    let (instance, docker) = instance(&lab, &images);
    let refused = json!({ "Env": ["POSTGRES_USER=sp"] });
    run(&docker, "without-password", "postgres", refused);
    assert_eq!(end_of(&instance, "without-password")["ExitCode"], 1);
    assert!(docker.logs("without-password").unwrap().contains("POSTGRES_PASSWORD is not set"));

    let volume = |name: &str, at: &str| json!({ "Binds": [format!("{name}:{at}")] });
    run(
        &docker,
        "db",
        "postgres",
        json!({
            "Env": ["POSTGRES_USER=sp", "POSTGRES_PASSWORD=o'ne \"two", "POSTGRES_DB=status-page"],
            "HostConfig": volume("db", "/var/lib/postgresql/data"),
        }),
    );
    run(
        &docker,
        "cache",
        "redis",
        json!({
            "Env": ["REDIS_PASSWORD=three\"fo\\ur"], "HostConfig": volume("cache", "/data"),
        }),
    );
    let environment = json!([
        "DATABASE_HOST=db",
        "DATABASE_NAME=status-page",
        "DATABASE_USER=sp",
        "DATABASE_PASSWORD=o'ne \"two",
        "DATABASE_SSLMODE=disable",
        "REDIS_URL=redis://:three%22fo%5Cur@cache:6379/0",
    ]);
    run(
        &docker,
        "web",
        "1",
        json!({
            "Env": environment, "HostConfig": { "PortBindings": { "8000/tcp": [{ "HostPort": "8000" }] } },
        }),
    );
    let task = |name: &str, words: &[&str]| {
        run(&docker, name, "1", json!({ "Env": environment, "Cmd": words }));
        (end_of(&instance, name)["ExitCode"].clone(), docker.logs(name).unwrap())
    };
    // initdb takes its time.
    wait_until("the database answers", SOON, || {
        let told = lab.http_get(&format!("http://{}:8000/schema", instance.ip()));
        Ok(told.is_ok_and(|told| told.status == 200))
    })
    .unwrap();
    let (code, said) = task("migrate", &["migrate"]);
    assert_eq!(code, 0, "{said}");
    run(&docker, "worker", "1", json!({ "Env": environment, "Cmd": ["worker"] }));
    let job = lab.http_post(&format!("http://{}:8000/jobs/a", instance.ip())).unwrap();
    assert_eq!(job.status, 202, "{}", job.text());
    assert_eq!(answer(&lab, &instance, "/")["database"], "status-page");

    // Both need their password.
    let wrong = [
        "DATABASE_HOST=db",
        "DATABASE_NAME=status-page",
        "DATABASE_USER=sp",
        "DATABASE_PASSWORD=wrong",
        "DATABASE_SSLMODE=disable",
        "REDIS_URL=redis://cache:6379/0",
    ];
    run(&docker, "no-password", "1", json!({ "Env": wrong, "Cmd": ["migrate"] }));
    assert_eq!(end_of(&instance, "no-password")["ExitCode"], 1);
    assert!(docker.logs("no-password").unwrap().contains("password authentication failed"));
    run(&docker, "no-key", "1", json!({ "Env": wrong, "Cmd": ["worker", "--check"] }));
    assert_eq!(end_of(&instance, "no-key")["ExitCode"], 1);
    assert!(docker.logs("no-key").unwrap().contains("NOAUTH"), "{}", docker.logs("no-key").unwrap());

    // What they have outlives them.
    for name in ["db", "cache"] {
        docker.post(&format!("/containers/{name}/stop?t=10"), &json!(null)).unwrap();
        assert_eq!(state(&instance, name)["ExitCode"], 0, "{}", docker.logs(name).unwrap());
        docker.post(&format!("/containers/{name}/start"), &json!(null)).unwrap();
    }
    wait_until("the job is done", SOON, || {
        let told = lab.http_get(&format!("http://{}:8000/counter", instance.ip()))?;
        Ok(told.status == 200 && told.json()?["counter"] == 1)
    })
    .unwrap();
    let (code, said) = task("counts", &["counts"]);
    let counts: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &counts["accepted"], &counts["schema"]), (json!(0), &json!(1), &json!(1)), "{said}");
}
