//! Mistakes in `handover.toml`, shown where they are.

use insta::assert_snapshot;

use crate::bundle::{Bundle, CONFIG, Seen};

/// What is said of the usual configuration with a change.
fn with(from: &str, to: &str) -> Seen {
    assert!(CONFIG.contains(from), "there is no '{from}'");
    of(&CONFIG.replacen(from, to, 1))
}

fn of(text: &str) -> Seen {
    let bundle = Bundle::new();
    bundle.write("handover.toml", text);
    let seen = bundle.hook("ApplicationStart").seen();
    assert_eq!(seen.exit, Some(2), "{seen}");
    assert!(seen.stderr.len() < 1900, "CodeDeploy would cut it: {seen}");
    seen
}

#[test]
fn an_unknown_key_and_the_one_that_was_meant() {
    assert_snapshot!(with("tag =", "tga ="), @r#"
    exit: 2
    --- stderr
    error: unknown key 'tga'
     --> BUNDLE/handover.toml:4:1
      |
    4 | tga = "v1"
      | ^^^ did you mean 'tag'?
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn keys_of_a_later_version_are_refused_by_name() {
    assert_snapshot!(with("[image]", "groups = [\"test\"]\n[image]"), @r#"
    exit: 2
    --- stderr
    error: key 'groups' is not supported by handover 0.1.0 yet
     --> BUNDLE/handover.toml:2:1
      |
    2 | groups = ["test"]
      | ^^^^^^ remove it, or use the version that has it
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("[process.web]", "[bake]\nduration = \"30s\"\n[process.web]"), @r"
    exit: 2
    --- stderr
    error: key 'bake' is not supported by handover 0.1.0 yet
     --> BUNDLE/handover.toml:5:2
      |
    5 | [bake]
      |  ^^^^ remove it, or use the version that has it
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(with("[process.web]", "[task.migrate]\ncommand = [\"migrate\"]\n[process.web]"), @r"
    exit: 2
    --- stderr
    error: key 'task' is not supported by handover 0.1.0 yet
     --> BUNDLE/handover.toml:5:2
      |
    5 | [task.migrate]
      |  ^^^^ remove it, or use the version that has it
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(with("order = \"stop-first\"", "order = \"start-first\""), @r#"
    exit: 2
    --- stderr
    error: order = "start-first" is not supported by handover 0.1.0 yet
     --> BUNDLE/handover.toml:7:9
      |
    7 | order = "start-first"
      |         ^^^^^^^^^^^^^ write order = "stop-first"
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("order = \"stop-first\"\n", ""), @r#"
    exit: 2
    --- stderr
    error: start-first, the order of 'web' because it publishes ports, is not supported by handover 0.1.0 yet
     --> BUNDLE/handover.toml:5:10
      |
    5 | [process.web]
      |          ^^^ write order = "stop-first"
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn what_is_no_toml() {
    assert_snapshot!(with("tag = \"v1\"", "tag = v1"), @r"
    exit: 2
    --- stderr
    error: string values must be quoted, expected literal string
     --> BUNDLE/handover.toml:4:7
      |
    4 | tag = v1
      |       ^^ here
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(of(""), @r"
    exit: 2
    --- stderr
    error: missing field 'app'
     --> BUNDLE/handover.toml:1:1
      |
    1 |
      | ^ here
    handover: FAILED (exit 2): nothing was changed
    ");
}

#[test]
fn values_that_make_no_sense() {
    assert_snapshot!(with("status-page\"\n[image]", "Status Page\"\n[image]"), @r#"
    exit: 2
    --- stderr
    error: 'Status Page' is not a name of lower-case letters, digits and single dashes, 1 to 40 characters, a letter first
     --> BUNDLE/handover.toml:1:7
      |
    1 | app = "Status Page"
      |       ^^^^^^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("8000:8000", "8000"), @r#"
    exit: 2
    --- stderr
    error: '8000' is not a published port: write "HOST:CONTAINER" or "ADDRESS:HOST:CONTAINER", with /udp if it is UDP
     --> BUNDLE/handover.toml:6:11
      |
    6 | publish = ["8000"]
      |           ^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("[\"8000:8000\"]", "[\"8000:8000\", \"8000:9000\"]"), @r#"
    exit: 2
    --- stderr
    error: port 8000 of the host is published twice
     --> BUNDLE/handover.toml:6:25
      |
    6 | publish = ["8000:8000", "8000:9000"]
      |                         ^^^^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("order", "stop-timeout = \"35\"\norder"), @r#"
    exit: 2
    --- stderr
    error: '35' is not a span of time: write a number and a unit, such as "35s", "10m" or "250ms"
     --> BUNDLE/handover.toml:7:16
      |
    7 | stop-timeout = "35"
      |                ^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("order", "memory = \"half\"\norder"), @r#"
    exit: 2
    --- stderr
    error: 'half' is not an amount of memory: write a number and b, k, m or g, such as "512m"
     --> BUNDLE/handover.toml:7:10
      |
    7 | memory = "half"
      |          ^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page", "docker.io/library/nginx"), @r#"
    exit: 2
    --- stderr
    error: 'docker.io' is not a host of Amazon ECR, and handover 0.1.0 knows no other registries yet
     --> BUNDLE/handover.toml:3:14
      |
    3 | repository = "docker.io/library/nginx"
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn probes_that_clash() {
    let health = |text: &str| of(&format!("{CONFIG}[process.web.health]\n{text}\n"));
    assert_snapshot!(health("http = \"/\"\ntcp = true"), @r"
    exit: 2
    --- stderr
    error: 'http' and 'tcp' cannot both be the probe
      --> BUNDLE/handover.toml:10:7
       |
    10 | tcp = true
       |       ^^^^ keep one of them
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(health("http = \"health\""), @r#"
    exit: 2
    --- stderr
    error: the path of a probe begins with '/'
     --> BUNDLE/handover.toml:9:8
      |
    9 | http = "health"
      |        ^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(health("tcp = true\nhost = \"status.example.com\""), @r#"
    exit: 2
    --- stderr
    error: 'host' and 'status' go with 'http' only
      --> BUNDLE/handover.toml:10:8
       |
    10 | host = "status.example.com"
       |        ^^^^^^^^^^^^^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn two_processes() {
    let seen = Bundle::new();
    seen.write("handover.toml", &format!("{CONFIG}[process.worker]\ncommand = [\"work\"]\n"));
    assert_snapshot!(seen.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    error: more than one process is not supported by handover 0.1.0 yet
     --> BUNDLE/handover.toml:8:10
      |
    8 | [process.worker]
      |          ^^^^^^ keep one table [process.NAME]
    handover: FAILED (exit 2): nothing was changed
    ");
}

#[test]
fn secrets_that_are_not_there() {
    let environment = |text: &str| {
        with(
            "[process.web]",
            &format!("[secret.database]\nid = \"prod/database\"\n[environment]\n{text}\n[process.web]"),
        )
    };
    assert_snapshot!(environment("A = { secret = \"databse.host\" }"), @r#"
    exit: 2
    --- stderr
    error: no secret is called 'databse'
     --> BUNDLE/handover.toml:8:5
      |
    8 | A = { secret = "databse.host" }
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean 'database'?
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(environment("A = { secret = \"database\" }"), @r#"
    exit: 2
    --- stderr
    error: 'database' does not say which field
     --> BUNDLE/handover.toml:8:5
      |
    8 | A = { secret = "database" }
      |     ^^^^^^^^^^^^^^^^^^^^^^^ write "database.FIELD", such as "database.password"
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(environment("A = { template = \"redis://{{ redis.value }}\" }"), @r#"
    exit: 2
    --- stderr
    error: no secret is called 'redis'
     --> BUNDLE/handover.toml:8:5
      |
    8 | A = { template = "redis://{{ redis.value }}" }
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ known here: database
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(environment("A = { template = \"redis://{{ redis.value\" }"), @r#"
    exit: 2
    --- stderr
    error: this template, line 1: syntax error: unexpected end of input, expected end of variable block
     --> BUNDLE/handover.toml:8:5
      |
    8 | A = { template = "redis://{{ redis.value" }
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(environment("A = 1"), @r#"
    exit: 2
    --- stderr
    error: write a string, { secret = "NAME.FIELD" } or { template = "..." }
     --> BUNDLE/handover.toml:8:5
      |
    8 | A = 1
      |     ^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn a_pin_is_not_ignored() {
    let bundle = Bundle::new();
    bundle.write("handover.pin", "");
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    'BUNDLE/handover.pin' is not supported by handover 0.1.0 yet: remove it from the bundle
    handover: FAILED (exit 2): nothing was changed
    ");
}

#[test]
fn one_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let bundle = Bundle::new();
    std::fs::set_permissions(bundle.path("handover.toml"), std::fs::Permissions::from_mode(0o000)).unwrap();
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    failed to read 'BUNDLE/handover.toml': Permission denied (os error 13)
    handover: FAILED (exit 2): nothing was changed
    ");
}
