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
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn a_word_of_dockers_is_answered_with_what_to_write() {
    for (line, advice) in [
        ("privileged = true", "write what it needs in devices and capabilities"),
        ("ports = [\"8000:8000\"]", "write publish"),
        ("environment = [\"A=b\"]", "write NAME = "),
        ("cap_add = [\"NET_ADMIN\"]", "write capabilities = { add"),
        ("restart = \"always\"", "restart policies are handover's ledger"),
        ("mem_limit = \"1g\"", "write memory"),
        ("healthcheck = {}", "write [process.NAME.health]"),
        ("read_only = true", "did you mean 'read-only'?"),
        ("user-name = \"x\"", "did you mean 'user'?"),
        ("nothing-of-ours = 1", "known here: command, image"),
    ] {
        let seen = with("[process.web]\n", &format!("[process.web]\n{line}\n"));
        assert!(seen.stderr.contains(advice), "{line}: {seen}");
    }
    let seen = of("app = \"a\"\nimage = \"nginx:1\"\n[process.web]\n");
    assert!(seen.stderr.contains("a table belongs here") && seen.stderr.contains("write [image]"), "{seen}");
}

#[test]
fn nobody_waits_where_that_cannot_be() {
    let order = "order = \"stop-first\"";
    for (written, help) in [
        ("order = \"start-first\"\nstall = \"5s\"", "remove it, or write order = \"stop-first\""),
        ("order = \"stop-first\"\nstall = \"2m\"", "this is more than"),
        ("order = \"stop-first\"\nstall = \"0s\"", "this is less than 1 s"),
    ] {
        let seen = with(order, written);
        assert!(seen.stderr.contains(help), "{seen}");
    }
}

#[test]
fn what_happens_between_deployments() {
    assert_snapshot!(with("[process.web]", "[keep]\nreleases = 1\n[process.web]"), @r"
    exit: 2
    --- stderr
    error: 1 releases cannot be kept
     --> BUNDLE/handover.toml:6:12
      |
    6 | releases = 1
      |            ^ from 2, which is live and one to go back to, to 50
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(with("[process.web]", "[refresh]\nwindow = \"1m\"\n[process.web]"), @r#"
    exit: 2
    --- stderr
    error: this is less than 5 min
     --> BUNDLE/handover.toml:6:10
      |
    6 | window = "1m"
      |          ^^^^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn an_order_that_cannot_be_had() {
    for (line, why) in [
        ("publish = [\"8000:8000/udp\"]", "only connections of TCP can be moved over"),
        ("publish = [\"8000\"]", "a port that Docker picks is another one for each container"),
        ("singleton = true\npublish = [\"8000:8000\"]", "there are never two of a singleton"),
        ("network = \"host\"", "two cannot listen on one port"),
        ("", "it publishes no port"),
    ] {
        let publish = "publish = [\"8000:8000\"]\n";
        let edited =
            with(&format!("{publish}order = \"stop-first\""), &format!("{line}\norder = \"start-first\""));
        assert!(
            edited.stderr.contains(why) && edited.stderr.contains("write order = \"stop-first\""),
            "{edited}"
        );
    }
    for (line, help) in [
        ("order = \"start-frist\"", "did you mean 'start-first'?"),
        ("order = \"stop-first\"\ntraffic = \"drain\"", "did you mean 'drained'?"),
        ("order = \"stop-first\"\ndrain = \"2h\"", "this is more than 1 h"),
    ] {
        let seen = with("order = \"stop-first\"", line);
        assert!(seen.stderr.contains(help), "{seen}");
    }
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
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(of(""), @r#"
    exit: 2
    --- stderr
    error: missing field 'app'
     --> BUNDLE/handover.toml:1:1
      |
    1 |
      | ^ add app = "NAME" at the top
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
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
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("8000:8000", "0:8000"), @r#"
    exit: 2
    --- stderr
    error: '0:8000' is not a published port: write "HOST:CONTAINER", "ADDRESS:HOST:CONTAINER", or "CONTAINER" alone for a port that Docker picks; with /udp if it is UDP
     --> BUNDLE/handover.toml:6:11
      |
    6 | publish = ["0:8000"]
      |           ^^^^^^^^^^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("[\"8000:8000\"]", "[\"8000:8000\", \"8000:9000\"]"), @r#"
    exit: 2
    --- stderr
    error: port 8000 of the host is published twice
     --> BUNDLE/handover.toml:6:25
      |
    6 | publish = ["8000:8000", "8000:9000"]
      |                         ^^^^^^^^^^^ keep one of them
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("order", "stop-timeout = \"35\"\norder"), @r#"
    exit: 2
    --- stderr
    error: '35' is not a duration: write a number and a unit, such as "35s", "10m" or "250ms"
     --> BUNDLE/handover.toml:7:16
      |
    7 | stop-timeout = "35"
      |                ^^^^ here
    next:  handover lint BUNDLE
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
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn how_to_log_in_has_to_be_said_for_other_registries() {
    assert_snapshot!(with("123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page", "ghcr.io/org/app"), @r#"
    exit: 2
    --- stderr
    error: 'ghcr.io' is not a registry of Amazon ECR, so it has to be said how to log in
     --> BUNDLE/handover.toml:3:14
      |
    3 | repository = "ghcr.io/org/app"
      |              ^^^^^^^^^^^^^^^^^ add auth = "none", auth = { secret = "NAME" }, or auth = "ecr" if it is a proxy for ECR
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("tag =", "auth = \"iam\"\ntag ="), @r#"
    exit: 2
    --- stderr
    error: 'iam' is not a way to log in to a registry
     --> BUNDLE/handover.toml:4:8
      |
    4 | auth = "iam"
      |        ^^^^^ write "ecr", "none" or { secret = "NAME" }
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    let with_secret =
        "auth = { secret = \"registy\" }\ntag = \"v1\"\n[secret.registry]\nid = \"prod/registry\"";
    assert_snapshot!(with("tag = \"v1\"", with_secret), @r#"
    exit: 2
    --- stderr
    error: there is no secret 'registy'
     --> BUNDLE/handover.toml:4:8
      |
    4 | auth = { secret = "registy" }
      |        ^^^^^^^^^^^^^^^^^^^^^^ did you mean 'registry'?
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(with("tag =", "region = \"Ireland\"\ntag ="), @r#"
    exit: 2
    --- stderr
    error: 'Ireland' is not an AWS region
     --> BUNDLE/handover.toml:4:10
      |
    4 | region = "Ireland"
      |          ^^^^^^^^^ write a region such as "eu-west-1"
    next:  handover lint BUNDLE
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
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(health("http = \"health\""), @r#"
    exit: 2
    --- stderr
    error: the path of a probe has to start with '/'
     --> BUNDLE/handover.toml:9:8
      |
    9 | http = "health"
      |        ^^^^^^^^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(health("tcp = true\nhost = \"status.example.com\""), @r#"
    exit: 2
    --- stderr
    error: 'host' and 'status' can only be used with 'http'
      --> BUNDLE/handover.toml:10:8
       |
    10 | host = "status.example.com"
       |        ^^^^^^^^^^^^^^^^^^^^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
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
    error: there is no secret 'databse'
     --> BUNDLE/handover.toml:8:5
      |
    8 | A = { secret = "databse.host" }
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean 'database'?
    next:  handover lint BUNDLE
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
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(environment("A = { template = \"redis://{{ redis.value }}\" }"), @r#"
    exit: 2
    --- stderr
    error: there is no secret 'redis'
     --> BUNDLE/handover.toml:8:5
      |
    8 | A = { template = "redis://{{ redis.value }}" }
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ known here: database
    next:  handover lint BUNDLE
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
    next:  handover lint BUNDLE
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
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
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

#[test]
fn secrets_that_say_too_much_or_too_little() {
    let secret = |table: &str| of(&format!("{CONFIG}[secret.database]\n{table}\n"));
    assert_snapshot!(secret("id = \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf:password\""), @r#"
    exit: 2
    --- stderr
    error: this ARN has 7 colons; the ARN of a secret has 6, or 9 with key, stage and version
     --> BUNDLE/handover.toml:9:6
      |
    9 | id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf:password"
      |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write a name, an ARN, or an ARN with :KEY:STAGE:VERSION, where each may be empty
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(secret("id = \"prod:database\""), @r#"
    exit: 2
    --- stderr
    error: the name of a secret cannot contain ':'
     --> BUNDLE/handover.toml:9:6
      |
    9 | id = "prod:database"
      |      ^^^^^^^^^^^^^^^ write a name, an ARN, or an ARN with :KEY:STAGE:VERSION, where each may be empty
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(secret("literal = { host = \"db\" }\nid = \"prod/database\""), @r"
    exit: 2
    --- stderr
    error: a secret has either 'id' or 'literal', not both
     --> BUNDLE/handover.toml:9:11
      |
    9 | literal = { host = **** }
      |           ^^^^^^^^^^^^^^^ keep one of them
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(secret("literal = { host = \"db\" }\nformat = \"text\""), @r#"
    exit: 2
    --- stderr
    error: 'format' cannot be used with 'literal'
      --> BUNDLE/handover.toml:10:10
       |
    10 | format = "text"
       |          ^^^^^^ remove it: a literal has its fields already
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(secret("fields = { host = \"db\" }"), @r#"
    exit: 2
    --- stderr
    error: nothing says what secret 'database' is
     --> BUNDLE/handover.toml:8:1
      |
    8 | [secret.database]
      | ^^^^^^^^^^^^^^^^^ add id = "NAME", the name or ARN of a secret, or parameter = "/NAME", one of Parameter Store
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
}

#[test]
fn parameters_that_cannot_be_right() {
    let secret = |lines: &str| {
        let mistake = of(&format!("{CONFIG}[secret.database]\n{lines}\n")).stderr;
        mistake
            .lines()
            .filter(|line| line.contains("error") || line.contains('^'))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let said: String = [
        "id = \"prod/db\"\nparameter = \"/prod/db\"",
        "parameter = \"/prod/db\"\nparameters = \"/prod/\"",
        "parameters = \"/prod/\"\nliteral = { a = \"b\" }",
        "parameter = \"prod/db\"",
        "parameter = \"/prod/\"",
        "parameter = \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db\"",
        "id = \"arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db\"",
        "parameters = \"/\"",
        "parameters = \"arn:aws:ssm:eu-west-1:123456789012:parameter/prod/\"",
        "parameters = \"/prod/\"\nformat = \"json\"",
        "paramter = \"/prod/db\"",
    ]
    .map(|lines| format!("{}\n", secret(lines)))
    .concat();
    assert_snapshot!(said, @r#"
    error: a secret has either 'id' or 'parameter', not both
       |             ^^^^^^^^^^ keep one of them
    error: a secret has either 'parameter' or 'parameters', not both
       |              ^^^^^^^^ keep one of them
    error: a secret has either 'parameters' or 'literal', not both
       |           ^^^^^^^^^^^ keep one of them
    error: 'prod/db' is not the name of a parameter: one that has slashes begins with one
      |             ^^^^^^^^^ write "/prod/db"
    error: '/prod/' is a path, and not the name of a parameter
      |             ^^^^^^^^ write parameters = "/prod/" for all that are below it
    error: this is the ARN of a secret of Secrets Manager
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db"
    error: this is not the ARN of a secret, but of a parameter: write parameter = "..."
      |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write a name, an ARN, or an ARN with :KEY:STAGE:VERSION, where each may be empty
    error: this path has every parameter of the account below it
      |              ^^^ write the beginning that their names have in common, such as "/prod/app/"
    error: AWS takes no ARN for all parameters below a path
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write the path, such as "/prod/app/", or one parameter by its ARN
    error: 'format' cannot be used with 'parameters'
       |          ^^^^^^ remove it: each parameter is a field, and text
    error: unknown key 'paramter'
      | ^^^^^^^^ did you mean 'parameter'?
    "#);
}

#[test]
fn templates_that_cannot_be_right() {
    let bundle = |template: &str, table: &str| {
        let bundle = Bundle::new();
        std::fs::create_dir(bundle.path("templates")).unwrap();
        bundle.write("templates/app.py", template);
        std::os::unix::fs::symlink("/etc/passwd", bundle.path("templates/passwd")).unwrap();
        let file = format!("{CONFIG}[secret.database]\nid = \"db\"\n[file.\"/opt/app.py\"]\n{table}\n");
        bundle.write("handover.toml", &file);
        let seen = bundle.hook("ApplicationStart").seen();
        assert_eq!(seen.exit, Some(2), "{seen}");
        seen
    };
    let template = |text: &str| bundle(text, "template = \"templates/app.py\"");
    assert_snapshot!(template("A = 1\nB = {{ database.host | pyton }}\n"), @r#"
    exit: 2
    --- stderr
    error: templates/app.py, line 2: unknown filter 'pyton'
      --> BUNDLE/handover.toml:11:12
       |
    11 | template = "templates/app.py"
       |            ^^^^^^^^^^^^^^^^^^ did you mean 'python'?
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(template("A = {{ databse.host }}\n"), @r#"
    exit: 2
    --- stderr
    error: there is no secret 'databse'
      --> BUNDLE/handover.toml:11:12
       |
    11 | template = "templates/app.py"
       |            ^^^^^^^^^^^^^^^^^^ did you mean 'database'?
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(template("\n\n{% if %}\n"), @r#"
    exit: 2
    --- stderr
    error: templates/app.py, line 3: syntax error: unexpected end of block
      --> BUNDLE/handover.toml:11:12
       |
    11 | template = "templates/app.py"
       |            ^^^^^^^^^^^^^^^^^^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(bundle("", "template = \"templates/other.py\""), @r#"
    exit: 2
    --- stderr
    error: cannot read 'templates/other.py' in the bundle: No such file or directory (os error 2)
      --> BUNDLE/handover.toml:11:12
       |
    11 | template = "templates/other.py"
       |            ^^^^^^^^^^^^^^^^^^^^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(bundle("", "template = \"templates/../handover.toml\""), @r#"
    exit: 2
    --- stderr
    error: 'templates/../handover.toml' is not the path of a template
      --> BUNDLE/handover.toml:11:12
       |
    11 | template = "templates/../handover.toml"
       |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ templates are files in the bundle's folder templates/: write "templates/NAME"
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(bundle("", "template = \"templates/passwd\""), @r#"
    exit: 2
    --- stderr
    error: 'templates/passwd' is a link that leads out of the bundle's templates/
      --> BUNDLE/handover.toml:11:12
       |
    11 | template = "templates/passwd"
       |            ^^^^^^^^^^^^^^^^^^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(bundle("", "template = \"templates/app.py\"\nmode = \"0999\""), @r#"
    exit: 2
    --- stderr
    error: '0999' is not a mode
      --> BUNDLE/handover.toml:12:8
       |
    12 | mode = "0999"
       |        ^^^^^^ write it in octal, such as "0400"
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(bundle("", "template = \"templates/app.py\"\nowner = \"www-data\""), @r#"
    exit: 2
    --- stderr
    error: 'www-data' is not an owner
      --> BUNDLE/handover.toml:12:9
       |
    12 | owner = "www-data"
       |         ^^^^^^^^^^ write numbers, because names differ between host and image: 999 or "999:999"
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
}

/// What a bundle says of files with variables: a headline and a hint for each.
#[test]
fn mistakes_in_a_file_of_variables_name_its_line_and_no_value() {
    let bundle = Bundle::new();
    std::fs::create_dir(bundle.path("env")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", bundle.path("env/link")).unwrap();
    bundle.write("env/good", "A=1\n");
    bundle.write("env/bare", "A=1\nHOME\n");
    bundle.write("env/shell", "export A=hunter2\n");
    let said = |files: &str| {
        let from = format!("[environment]\nfrom = {files}\n[process.web]");
        bundle.write("handover.toml", &CONFIG.replacen("[process.web]", &from, 1));
        let seen = bundle.hook("ApplicationStart").seen();
        let is_shown = |line: &&str| line.starts_with("error:") || line.contains('^');
        seen.stderr.lines().filter(is_shown).collect::<Vec<_>>().join("\n")
    };
    let all = [
        "[\"env/good\", \"env/bare\"]",
        "[\"env/shell\"]",
        "[\"env/none\"]",
        "[\"env\"]",
        "[\"../env/good\"]",
        "[\"/etc/hostname\"]",
        "[\"env/link\"]",
        "\"env/good\"",
    ];
    assert_snapshot!(all.map(said).join("\n"), @r#"
    error: env/bare, line 2: 'HOME' has no value: docker would take that of its own environment, and a hook has none
      |                     ^^^^^^^^^^ write NAME=VALUE, or NAME= for an empty one
    error: env/shell, line 1: the name of a variable has a space behind 'export'
      |         ^^^^^^^^^^^ remove 'export': it is no shell that reads this file
    error: cannot read 'env/none' in the bundle: No such file or directory (os error 2)
      |         ^^^^^^^^^^ here
    error: 'env' is not a file
      |         ^^^^^ here
    error: '../env/good' is not a path in the bundle
      |         ^^^^^^^^^^^^^ write it from the bundle's folder on, without '..': "conf/app.conf"
    error: '/etc/hostname' is not a path in the bundle
      |         ^^^^^^^^^^^^^^^ write it from the bundle's folder on, without '..': "conf/app.conf"
    error: 'env/link' is a link that leads out of the bundle
      |         ^^^^^^^^^^ here
    error: a list belongs here
      |        ^^^^^^^^^^ write it in brackets, such as ["..."]
    "#);
}
