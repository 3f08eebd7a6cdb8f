//! The test application in containers: what it answers, and how it misbehaves.

use lab::names::REPOSITORY;
use lab::{Healthcheck, ImageSpec, Lab, wait_until};
use serde_json::json;

use crate::support::{SOON, answer, backends, end_of, run, state};

#[test]
fn answers_from_the_database_and_redis() {
    let lab = Lab::up().unwrap();
    let mut spec = ImageSpec::new("12");
    spec.healthcheck = Some(Healthcheck::default());
    lab.registry().push_image(REPOSITORY, "12", &spec).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let id = run(&instance, "web", "12", &backends());
    let first = answer(&lab, &instance, "/");
    assert_eq!(first["release"], "12");
    assert_eq!(first["database"], "statuspage");
    assert!(id.starts_with(first["container"].as_str().unwrap()));
    let second = answer(&lab, &instance, "/");
    assert!(second["cache"].as_u64() > first["cache"].as_u64());
    assert_eq!(answer(&lab, &instance, "/health")["ready"], true);
    // sha256 of the database's password
    assert_eq!(
        answer(&lab, &instance, "/env/DATABASE_PASSWORD")["sha256"],
        "5c1bb5dc72ffb8838e594e549b6e81a4a8fd4d5a98beea903168e9817c1663b8"
    );
    wait_until("healthy", SOON, || Ok(state(&instance, "web")["Health"]["Status"] == "healthy")).unwrap();

    lab.stop("cache").unwrap();
    let said = lab.http_get(&format!("http://{}:8000/health", instance.ip())).unwrap();
    assert_eq!(said.status, 503);
    lab.start("cache").unwrap();
    answer(&lab, &instance, "/");
    lab.stop("database").unwrap();
    assert_eq!(lab.http_get(&format!("http://{}:8000/", instance.ip())).unwrap().status, 503);
    lab.start("database").unwrap();
    answer(&lab, &instance, "/");

    assert_eq!(lab.sql("select 40 + 2").unwrap(), "42");
    assert_eq!(lab.redis(&["GET", "nothing"]).unwrap(), "");
}

#[test]
fn ends_gracefully_when_asked() {
    let lab = Lab::up().unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    run(&instance, "web", "1", &[]);
    answer(&lab, &instance, "/");
    let url = format!("http://{}:8000/?ms=700", instance.ip());
    let docker = instance.docker().unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| lab.http_get(&url).unwrap());
        // Established, and a request on it: then the end is asked for.
        wait_until("the request is there", SOON, || {
            let seen =
                instance.command("nsenter").args(["-t", &process(&instance), "-n", "ss", "-Htn"]).output()?;
            Ok(String::from_utf8_lossy(&seen.stdout).contains("ESTAB"))
        })
        .unwrap();
        docker.post("/containers/web/stop?t=10", &json!(null)).unwrap();
        assert_eq!(slow.join().unwrap().status, 200);
    });
    assert_eq!(state(&instance, "web")["ExitCode"], 0);
}

fn process(instance: &lab::Instance) -> String {
    state(instance, "web")["Pid"].to_string()
}

#[test]
fn misbehaves_as_it_is_told() {
    let lab = Lab::up().unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    let variants = [
        "crash",
        "noise",
        "crash-later",
        "error",
        "flaky",
        "hang",
        "never-listens",
        "slow",
        "ignore-term",
        "worker",
    ];
    let image = |tag: &str| format!("{}:{tag}", lab::names::REPOSITORY_URL);
    for variant in variants {
        lab.registry().push_image(REPOSITORY, variant, &ImageSpec::new("1").variant(variant)).unwrap();
        docker.pull(&image(variant), Some(&lab::registry_authorization())).unwrap();
        let settings = json!({ "Image": image(variant), "Env": ["CRASH_AFTER_MS=300", "BOOT_DELAY_MS=300"] });
        docker.run(variant, &settings).unwrap();
    }
    assert_eq!(end_of(&instance, "crash")["ExitCode"], 1);
    assert!(docker.logs("crash").unwrap().contains("crashing, as I was told"));
    assert_eq!(end_of(&instance, "noise")["ExitCode"], 1);
    assert!(docker.logs("noise").unwrap().contains(&"x".repeat(20_000)));
    assert_eq!(end_of(&instance, "crash-later")["ExitCode"], 1);

    let ask_within = |name: &str, seconds: u32| {
        let found = docker.inspect(name).unwrap().unwrap();
        let address = found["NetworkSettings"]["IPAddress"].as_str().unwrap().to_owned();
        let script = format!(
            "exec 3<>/dev/tcp/{address}/8000 || exit 9; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout {seconds} cat <&3"
        );
        let done = instance.command("bash").args(["-c", &script]).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let ask = |name: &str| ask_within(name, 20);
    assert!(ask("error").1.starts_with("HTTP/1.1 500"));
    assert!(ask("flaky").1.starts_with("HTTP/1.1 200"));
    assert!(ask("flaky").1.starts_with("HTTP/1.1 500"));
    assert_eq!(ask_within("hang", 1), (Some(124), String::new()));
    assert_eq!(ask("never-listens").0, Some(9));
    assert_eq!(ask("worker").0, Some(9));
    wait_until("slow answers", SOON, || Ok(ask("slow").1.starts_with("HTTP/1.1 200"))).unwrap();

    docker.post("/containers/worker/stop?t=5", &json!(null)).unwrap();
    assert_eq!(state(&instance, "worker")["ExitCode"], 0);
    docker.post("/containers/ignore-term/stop?t=1", &json!(null)).unwrap();
    assert_eq!(state(&instance, "ignore-term")["ExitCode"], 137);
}

#[test]
fn is_killed_for_eating_memory() {
    let lab = Lab::up().unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1").variant("eat-memory")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    let image = format!("{}:1", lab::names::REPOSITORY_URL);
    docker.pull(&image, Some(&lab::registry_authorization())).unwrap();
    let settings = json!({ "Image": image, "HostConfig": { "Memory": 64 << 20 } });
    docker.run("web", &settings).unwrap();
    // The Engine hears of the kill and of the end in two ways. Where the end is the first, it does not say why: once more.
    wait_until("the Engine says why", SOON, || {
        let end = end_of(&instance, "web");
        assert_eq!(end["ExitCode"], 137);
        let said = end["OOMKilled"] == true;
        if !said {
            docker.post("/containers/web/start", &json!(null))?;
        }
        Ok(said)
    })
    .unwrap();
}

#[test]
fn a_migration_leaves_a_row_and_load_is_counted() {
    let lab = Lab::up().unwrap();
    let mut spec = ImageSpec::new("7");
    spec.command = vec!["migrate".to_owned()];
    lab.registry().push_image(REPOSITORY, "migrate", &spec).unwrap();
    lab.registry().push_image(REPOSITORY, "7", &ImageSpec::new("7")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    let image = format!("{}:migrate", lab::names::REPOSITORY_URL);
    docker.pull(&image, Some(&lab::registry_authorization())).unwrap();
    docker.run("migrate", &json!({ "Image": image, "Env": backends() })).unwrap();
    let end = end_of(&instance, "migrate");
    assert_eq!(end["ExitCode"], 0, "{}", docker.logs("migrate").unwrap());
    assert_eq!(lab.sql("select count(*), min(release) from migrations").unwrap(), "1|7");

    run(&instance, "web", "7", &[]);
    answer(&lab, &instance, "/");
    let url = format!("http://{}:8000/ping", instance.ip());
    for options in
        [vec!["--rate", "200", "--seconds", "1"], vec!["--rate", "200", "--seconds", "1", "--keep-alive"]]
    {
        let report = lab.load(&url, &options).unwrap().finish().unwrap();
        assert_eq!((&report["total"], &report["failed"]), (&json!(200), &json!(0)), "{report}");
        assert_eq!(report["releases"][0]["release"], "7");
    }
    // It sees what goes wrong, and ends early when asked.
    let load = lab.load(&url, &["--rate", "500", "--seconds", "60"]).unwrap();
    docker.post("/containers/web/kill", &json!(null)).unwrap();
    wait_until("the container has ended", SOON, || Ok(state(&instance, "web")["Running"] == false)).unwrap();
    docker.post("/containers/web/start", &json!(null)).unwrap();
    answer(&lab, &instance, "/");
    let report = load.stop().unwrap();
    assert!(report["failed"].as_u64() > Some(0) && report["total"].as_u64() < Some(500 * 60), "{report}");
}
