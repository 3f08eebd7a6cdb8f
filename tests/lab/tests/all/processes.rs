//! The application's other processes and tasks, as processes of the VPC: its queue loses nothing and does nothing twice,
//! and it notices what must not be done to it.

use std::process::{Child, Command, Stdio};

use lab::{Lab, inside, wait_until};
use serde_json::{Value, json};

use crate::support::SOON;

const TERM: i32 = 15;
const KILL: i32 = 9;
const FREEZE: i32 = 19;

/// Where a web server of the VPC itself answers.
const WEB: &str = "http://10.66.0.1:8000";

/// One of the application's processes. Dropped, it is killed.
struct Process(Child);

impl Process {
    fn start(lab: &Lab, words: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = lab.app(words).unwrap();
        command.env("RELEASE", "1").envs(environment.iter().copied());
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    fn end(mut self, signal: i32) -> Option<i32> {
        inside::signal(&self.0, signal).unwrap();
        self.0.wait().unwrap().code()
    }

    fn freeze(&self) {
        inside::signal(&self.0, FREEZE).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = inside::signal(&self.0, KILL);
            // What started a process that was frozen is so, too.
            let _ = Command::new("kill").args(["-CONT", &self.0.id().to_string()]).status();
            let _ = self.0.wait();
        }
    }
}

/// Runs a task: its exit code, and what it wrote.
fn task(lab: &Lab, words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let done =
        lab.app(words).unwrap().env("RELEASE", "1").envs(environment.iter().copied()).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Waits until the counts are as wished.
fn counted(lab: &Lab, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let mut counts = Value::Null;
    let done = wait_until(what, SOON, || {
        counts = lab.counts()?;
        Ok(is(&counts))
    });
    done.unwrap_or_else(|error| panic!("{error}: {counts}"));
    counts
}

fn web(lab: &Lab, environment: &[(&str, &str)]) -> Process {
    let web = Process::start(lab, &["web"], environment);
    wait_until("the web server", SOON, || Ok(lab.http_get(&format!("{WEB}/ping")).is_ok())).unwrap();
    web
}

fn accept(lab: &Lab, job: &str) {
    assert_eq!(lab.http_post(&format!("{WEB}/jobs/{job}")).unwrap().status, 202);
}

fn begun(lab: &Lab, job: &str) {
    let begun = format!("select count(*) from job_runs where job = '{job}'");
    wait_until(&format!("{job} has begun"), SOON, || Ok(lab.sql(&begun)? != "0")).unwrap();
}

#[test]
fn every_accepted_job_is_done_once() {
    let lab = Lab::up().unwrap();
    let _web = web(&lab, &[]);
    let worker = || Process::start(&lab, &["worker"], &[]);
    let first = worker();
    let load = lab.load(
        &format!("{WEB}/jobs/load-{{}}?ms=10"),
        &["--post", "--rate", "15", "--seconds", "60", "--keep-alive"],
    );
    let load = load.unwrap();
    counted(&lab, "jobs are done", |counts| counts["done"].as_u64() > Some(10));

    // What is in hand is finished, and nothing else is begun. The job takes longer than another worker's two looks: a
    // worker that lives keeps what it has.
    let second = worker();
    accept(&lab, "long?ms=4000");
    begun(&lab, "long");
    assert_eq!((first.end(TERM), second.end(TERM)), (Some(0), Some(0)));
    let counts = lab.counts().unwrap();
    assert_eq!((&counts["in_hand"], &counts["begun_again"]), (&json!(0), &json!(0)), "{counts}");
    assert_eq!(lab.sql("select ended is not null from job_runs where job = 'long'").unwrap(), "t");

    // Killed, it leaves what it had in hand to the next one. The same job, accepted again, is one job.
    let third = worker();
    accept(&lab, "cut?ms=2000");
    accept(&lab, "cut?ms=2000");
    begun(&lab, "cut");
    third.end(KILL);
    assert_eq!(counted(&lab, "it is in hand", |_| true)["in_hand"], 1);
    let fourth = worker();
    let report = load.stop().unwrap();
    assert_eq!(report["failed"], 0, "{report}");
    let accepted = report["total"].as_u64().unwrap() + 2;
    let counts = counted(&lab, "all jobs are done", |counts| counts["done"] == accepted);
    assert_eq!((&counts["accepted"], &counts["duplicated"]), (&json!(accepted), &json!(0)), "{counts}");
    assert_eq!((&counts["lost"], &counts["begun_again"]), (&json!([]), &json!(1)), "{counts}");
    assert_eq!(counts["counter"], accepted);
    let told = lab.http_get(&format!("{WEB}/counter")).unwrap().json().unwrap();
    assert_eq!(told["counter"], accepted);
    assert_eq!(
        lab.sql("select count(*) from job_runs where job = 'cut' and ended is not null").unwrap(),
        "1"
    );

    // One that was done, and not taken from the list any more, is not done again.
    lab.redis(&["RPUSH", "{queue}:jobs", "cut 0"]).unwrap();
    let idle = |counts: &Value| counts["waiting"] == 0 && counts["in_hand"] == 0;
    let counts = counted(&lab, "nothing is left to do", idle);
    assert_eq!((&counts["done"], &counts["duplicated"]), (&json!(accepted), &json!(0)), "{counts}");

    // Both are seen if they happen: a job that nobody has, and one that was done twice.
    lab.redis(&["SADD", "{queue}:accepted", "gone"]).unwrap();
    lab.sql("insert into job_runs (job, ended) values ('cut', now())").unwrap();
    let counts = lab.counts().unwrap();
    assert_eq!((&counts["lost"], &counts["duplicated"]), (&json!(["gone"]), &json!(1)), "{counts}");
    assert_eq!(fourth.end(TERM), Some(0));
}

#[test]
fn a_worker_outlasts_its_database_and_its_queue() {
    let lab = Lab::up().unwrap();
    let _web = web(&lab, &[]);
    let (one, two) = (Process::start(&lab, &["worker"], &[]), Process::start(&lab, &["worker"], &[]));
    accept(&lab, "a?ms=3000");
    begun(&lab, "a");
    // All of them lose their locks; none takes that for the others' end.
    lab.stop("database").unwrap();
    lab.start("database").unwrap();
    let counts = counted(&lab, "it is done", |counts| counts["done"] == 1);
    assert_eq!((&counts["begun_again"], &counts["duplicated"]), (&json!(0), &json!(0)), "{counts}");
    lab.stop("cache").unwrap();
    lab.start("cache").unwrap();
    accept(&lab, "b");
    counted(&lab, "the next one is done", |counts| counts["done"] == 2);
    assert_eq!((one.end(TERM), two.end(TERM)), (Some(0), Some(0)));
}

#[test]
fn a_second_scheduler_is_noticed() {
    let lab = Lab::up().unwrap();
    let scheduler = || Process::start(&lab, &["scheduler"], &[("TICK_MS", "200")]);
    let runs = |number: u64| {
        counted(&lab, "it runs and ticks", |counts| {
            counts["schedulers"] == number && counts["ticks"].as_u64() >= Some(3 * number)
        })
    };
    let first = scheduler();
    runs(1);
    assert_eq!(first.end(TERM), Some(0));
    // One after the other is none too many, however the first one ended.
    let second = scheduler();
    runs(2);
    second.end(KILL);
    let third = scheduler();
    runs(3);
    assert_eq!(lab.counts().unwrap()["overlaps"], json!([]));

    // One that begins while another one runs is, however short its life.
    let fourth = scheduler();
    counted(&lab, "it has begun", |counts| counts["schedulers"] == 4);
    fourth.end(KILL);
    counted(&lab, "the overlap is seen", |counts| counts["overlaps"].as_array().map(Vec::len) == Some(1));

    // One that is frozen writes nothing; its lock tells.
    third.freeze();
    let _fifth = scheduler();
    counted(&lab, "that, too", |counts| counts["overlaps"].as_array().map(Vec::len) == Some(2));
}

#[test]
fn a_migration_is_not_safe_twice() {
    let lab = Lab::up().unwrap();
    let _web = web(&lab, &[("SCHEMA", "2")]);
    let health = || lab.http_get(&format!("{WEB}/health")).unwrap();
    let two = [("SCHEMA", "2")];
    assert_eq!((health().status, lab.http_get(&format!("{WEB}/")).unwrap().status), (500, 500));
    assert!(
        health().text().contains("the schema has version 0, and release 1 needs 2"),
        "{}",
        health().text()
    );
    assert_eq!(task(&lab, &["migrate", "--check"], &two).0, Some(1));

    // What says that it is done and is not, the gate sees.
    assert_eq!(task(&lab, &["migrate"], &[two[0], ("VARIANT", "migrate:nothing")]).0, Some(0));
    assert_eq!((health().status, task(&lab, &["migrate", "--check"], &two).0), (500, Some(1)));
    let (code, said) = task(&lab, &["migrate"], &[two[0], ("VARIANT", "migrate:fail")]);
    assert_eq!(code, Some(1));
    assert!(said.contains("column \"notes\" of relation \"incidents\" already exists"), "{said}");
    let (_, said) = task(&lab, &["migrate"], &[two[0], ("VARIANT", "migrate:print-secrets")]);
    assert!(said.contains(&format!("DATABASE_PASSWORD={}", lab::names::DATABASE_PASSWORD)), "{said}");
    assert_eq!((health().status, task(&lab, &["migrate", "--check"], &two).0), (200, Some(0)));
    let schema = lab.http_get(&format!("{WEB}/schema")).unwrap().json().unwrap();
    assert_eq!(schema, json!({ "schema": 2, "wanted": 2 }));
    let counts = lab.counts().unwrap();
    assert_eq!((&counts["schema"], &counts["damage"]), (&json!(2), &json!([])), "{counts}");

    assert_eq!(task(&lab, &["migrate", "2"], &[]).0, Some(0));
    assert_eq!(lab.counts().unwrap()["damage"], json!(["version 2 was there already"]));
    let slow = Process::start(&lab, &["migrate", "3"], &[("MIGRATE_MS", "60000")]);
    counted(&lab, "it has begun", |counts| counts["migrations"].as_array().map(Vec::len) == Some(4));
    assert_eq!(task(&lab, &["migrate", "3"], &[]).0, Some(0));
    slow.end(KILL);
    let counts = lab.counts().unwrap();
    assert_eq!(counts["damage"][1], "two migrations at once", "{counts}");
    assert_eq!(counts["migrations"][2]["done"], true, "{counts}");
    assert_eq!(
        counts["migrations"][3],
        json!({ "release": "1", "container": counts["migrations"][0]["container"], "version": 3, "done": false })
    );

    // A release that does not know the new version says so, too.
    let old = Process::start(&lab, &["web"], &[("SCHEMA_AT_MOST", "2"), ("PORT", "8001")]);
    wait_until("the old release", SOON, || Ok(lab.http_get("http://10.66.0.1:8001/ping").is_ok())).unwrap();
    let said = lab.http_get("http://10.66.0.1:8001/").unwrap();
    assert_eq!(said.status, 500);
    assert!(
        said.text().contains("the schema has version 3, and release 1 knows none after 2"),
        "{}",
        said.text()
    );
    assert_eq!(old.end(TERM), Some(0));
}

#[test]
fn the_environment_is_smoke_tested() {
    let lab = Lab::up().unwrap();
    let (code, said) = task(&lab, &["smoke"], &[("SMOKE_NEEDS", "DATABASE_NAME,SITE_URL")]);
    assert_eq!((code, said.contains("SITE_URL is not set")), (Some(1), true), "{said}");
    assert_eq!(task(&lab, &["smoke"], &[("SMOKE_NEEDS", "DATABASE_NAME")]).0, Some(0));
}
