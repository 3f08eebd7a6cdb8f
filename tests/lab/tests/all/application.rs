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
    lab.registry().push_image(REPOSITORY, "2", &ImageSpec::new("2").variant("migrate:eat-memory")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    for (name, tag, command) in [("web", "1", json!(null)), ("migrate", "2", json!(["migrate"]))] {
        let image = format!("{}:{tag}", lab::names::REPOSITORY_URL);
        docker.pull(&image, Some(&lab::registry_authorization())).unwrap();
        let settings = json!({ "Image": image, "Cmd": command, "HostConfig": { "Memory": 64 << 20 } });
        docker.run(name, &settings).unwrap();
        // The Engine hears of the kill and of the end in two ways. Where the end is the first, it does not say why: once more.
        wait_until("the Engine says why", SOON, || {
            let end = end_of(&instance, name);
            assert_eq!(end["ExitCode"], 137);
            let said = end["OOMKilled"] == true;
            if !said {
                docker.post(&format!("/containers/{name}/start"), &json!(null))?;
            }
            Ok(said)
        })
        .unwrap();
    }
}

#[test]
fn each_command_misbehaves_by_itself() {
    let lab = Lab::up().unwrap();
    let all = "worker:crash-later,scheduler:ignore-term,smoke:hang,collect:crash";
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1").variant(all)).unwrap();
    lab.registry().push_image(REPOSITORY, "2", &ImageSpec::new("2")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    let docker = instance.docker().unwrap();
    run(&instance, "web", "1", &backends());
    answer(&lab, &instance, "/");
    docker.pull(&format!("{}:2", lab::names::REPOSITORY_URL), Some(&lab::registry_authorization())).unwrap();
    let start = |name: &str, tag: &str, words: &[&str]| {
        let image = format!("{}:{tag}", lab::names::REPOSITORY_URL);
        let environment = [backends(), vec!["CRASH_AFTER_MS=300".to_owned()]].concat();
        let check = json!({ "Test": ["CMD", "/app", "worker", "--check"], "Interval": 500_000_000 });
        let settings = json!({ "Image": image, "Cmd": words, "Env": environment, "Healthcheck": check });
        docker.run(name, &settings).unwrap();
    };
    let says = |name: &str, what: &str| {
        wait_until(what, SOON, || Ok(docker.logs(name)?.contains(what))).unwrap();
    };
    let stopped = |name: &str, seconds: u32| {
        docker.post(&format!("/containers/{name}/stop?t={seconds}"), &json!(null)).unwrap();
        state(&instance, name)["ExitCode"].clone()
    };
    start("crash-later", "1", &["worker"]);
    start("ignore-term", "1", &["scheduler"]);
    start("hang", "1", &["smoke"]);
    start("crash", "1", &["collect", "/static"]);
    assert_eq!(
        (&end_of(&instance, "crash")["ExitCode"], &end_of(&instance, "crash-later")["ExitCode"]),
        (&json!(1), &json!(1))
    );
    says("ignore-term", "schedules");
    says("hang", "starts as smoke, hang");
    assert_eq!((stopped("ignore-term", 1), stopped("hang", 1)), (json!(137), json!(137)));

    // And well-behaved ones: a worker is healthy once it takes jobs, and both end when they are asked.
    start("worker", "2", &["worker"]);
    start("scheduler", "2", &["scheduler"]);
    wait_until("healthy", SOON, || Ok(state(&instance, "worker")["Health"]["Status"] == "healthy")).unwrap();
    says("scheduler", "schedules");
    assert_eq!((stopped("worker", 20), stopped("scheduler", 20)), (json!(0), json!(0)));
}

#[test]
fn a_power_cut_is_no_overlap_and_loses_no_job() {
    let lab = Lab::up().unwrap();
    lab.registry().push_image(REPOSITORY, "1", &ImageSpec::new("1")).unwrap();
    let instance = lab.instance("web-1").unwrap();
    run(&instance, "web", "1", &backends());
    answer(&lab, &instance, "/");
    let docker = instance.docker().unwrap();
    let image = format!("{}:1", lab::names::REPOSITORY_URL);
    for name in ["worker", "scheduler"] {
        let environment = [backends(), vec!["TICK_MS=200".to_owned()]].concat();
        let always = json!({ "RestartPolicy": { "Name": "always" } });
        docker
            .run(name, &json!({ "Image": image, "Cmd": [name], "Env": environment, "HostConfig": always }))
            .unwrap();
    }
    let job = lab.http_post(&format!("http://{}:8000/jobs/a?ms=1000", instance.ip())).unwrap();
    assert_eq!(job.status, 202);
    let begun = "select count(*) from job_runs";
    wait_until("the job has begun", SOON, || Ok(lab.counts().is_ok() && lab.sql(begun)? == "1")).unwrap();
    instance.cut().unwrap();
    assert_eq!(lab.counts().unwrap()["in_hand"], 1);
    instance.boot().unwrap();
    let ticks = "select count(*) from scheduler_events where run = (select run from scheduler_events order by id desc limit 1)";
    let mut counts = json!(null);
    // Longer than a scheduler waits for a lock that a killed one may still have.
    wait_until("both have come back", SOON, || {
        counts = lab.counts()?;
        Ok(counts["schedulers"] == 2 && counts["done"] == 1 && lab.sql(ticks)?.parse::<u32>()? > 15)
    })
    .unwrap_or_else(|error| panic!("{error}: {counts}"));
    assert_eq!((&counts["overlaps"], &counts["begun_again"]), (&json!([]), &json!(1)), "{counts}");
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
