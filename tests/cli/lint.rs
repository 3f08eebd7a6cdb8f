//! `handover lint`.

use insta::assert_snapshot;

use crate::bundle::{APPSPEC, Bundle, CONFIG, Seen};

fn of_appspec(text: &str) -> Seen {
    let bundle = Bundle::with_a_script();
    bundle.write("appspec.yml", text);
    bundle.lint(&[]).seen()
}

/// The usual `appspec.yml` with a change.
fn with(from: &str, to: &str) -> Seen {
    assert!(APPSPEC.contains(from), "there is no '{from}'");
    of_appspec(&APPSPEC.replacen(from, to, 1))
}

#[test]
fn a_good_bundle() {
    let bundle = Bundle::with_a_script();
    let good = "exit: 0\n--- stdout\nhandover lint: no errors, no warnings";
    assert_eq!(bundle.lint(&[]).seen().to_string(), good);
    assert_eq!(bundle.lint(&[&bundle.folder()]).seen().to_string(), good);
}

/// `appspec/` of this project, with a binary in it.
#[test]
fn the_bundle_to_start_from() {
    let bundle = Bundle::with_a_script();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("appspec");
    std::fs::create_dir(bundle.path("templates")).unwrap();
    for file in ["appspec.yml", "handover.toml", "templates/configuration.py", "templates/nginx.conf"] {
        bundle.write(file, &std::fs::read_to_string(folder.join(file)).unwrap());
    }
    let good = "exit: 0\n--- stdout\nhandover lint: no errors, no warnings";
    assert_eq!(bundle.lint(&[]).seen().to_string(), good);
}

#[test]
fn everything_at_once() {
    let bundle = Bundle::with_a_script();
    let groups = "groups = [\"test\", \"production\"]\n[image]";
    let text = CONFIG.replacen("[image]", groups, 1).replace("\"v1\"", "\"latest\"");
    let tables = "memroy = \"1g\"\n[group.test]\nprocess.web.stop-timeout = \"0s\"\n[group.production]\nprocess.wbe = false\n";
    bundle.write("handover.toml", &(text + tables));
    bundle.write("appspec.yml", &APPSPEC.replace("600", "0").replace("os: linux", "os: windows"));
    assert_snapshot!(bundle.lint(&[]).seen(), @r#"
    exit: 2
    --- stdout
    warning: tag 'latest' can move: a later deployment of this bundle may run another image
     --> ./handover.toml:5:7
      |
    5 | tag = "latest"
      |       ^^^^^^^^ pin it where the bundle is made (handover pin), or use a tag that never moves, such as the commit's hash

    error: unknown key 'memroy'
     --> ./handover.toml:9:1
      |
    9 | memroy = "1g"
      | ^^^^^^ did you mean 'memory'?

    error: this is less than 1 s
      --> ./handover.toml:11:28
       |
    11 | process.web.stop-timeout = "0s"
       |                            ^^^^ here
       |
       = note: in group test

    error: there is no 'wbe' to remove
      --> ./handover.toml:13:15
       |
    13 | process.wbe = false
       |               ^^^^^ did you mean 'web'?
       |
       = note: in group production

    error: CodeDeploy's agent 1.8 refuses this os: it is not linux
     --> ./appspec.yml:2:5
      |
    2 | os: windows
      |     ^^^^^^^ write os: linux

    error: CodeDeploy's agents 1.8 and 2.x refuse this timeout: it is less than 1 s
     --> ./appspec.yml:8:16
      |
    8 |       timeout: 0
      |                ^ write a whole number of seconds

    handover lint: 5 errors, 1 warning
    "#);
}

#[test]
fn surprises_are_no_errors() {
    let bundle = Bundle::with_a_script();
    bundle.write("handover.toml", &CONFIG.replace("\"v1\"", "\"latest\""));
    bundle.set_mode("bin/handover", 0o644);
    assert_snapshot!(bundle.lint(&[]).seen(), @r#"
    exit: 0
    --- stdout
    warning: tag 'latest' can move: a later deployment of this bundle may run another image
     --> ./handover.toml:4:7
      |
    4 | tag = "latest"
      |       ^^^^^^^^ pin it where the bundle is made (handover pin), or use a tag that never moves, such as the commit's hash

    warning: 'bin/handover' is not executable: only CodeDeploy's agent makes it so
     --> ./appspec.yml:5:17
      |
    5 |     - location: bin/handover
      |                 ^^^^^^^^^^^^ chmod +x

    handover lint: no errors, 2 warnings
    "#);
}

#[test]
fn what_is_not_there() {
    let bundle = Bundle::with_a_script();
    bundle.remove("handover.toml");
    bundle.remove("appspec.yml");
    assert_snapshot!(bundle.lint(&[]).seen(), @r"
    exit: 2
    --- stdout
    error: failed to read './handover.toml': No such file or directory (os error 2)

    error: there is no appspec.yml in '.'

    handover lint: 2 errors, no warnings
    ");
    let bundle = Bundle::with_a_script();
    bundle.remove("bin/handover");
    assert_snapshot!(bundle.lint(&[]).seen(), @r"
    exit: 2
    --- stdout
    error: 'bin/handover' is not in the bundle
     --> ./appspec.yml:5:17
      |
    5 |     - location: bin/handover
      |                 ^^^^^^^^^^^^ both of CodeDeploy's agents would fail with 'Script does not exist'

    handover lint: 1 error, no warnings
    ");
}

#[test]
fn what_is_no_yaml() {
    assert_snapshot!(with("hooks:", "hooks: ["), @r"
    exit: 2
    --- stdout
    error: CodeDeploy's agents 1.8 and 2.x refuse this file: this cannot stand between a '[' or '{' and its end
     --> ./appspec.yml:5:5
      |
    5 |     - location: bin/handover
      |     ^ write the ']' or '}' before it

    handover lint: 1 error, no warnings
    ");
    assert_snapshot!(with("hooks:", "hooks: x: y"), @r"
    exit: 2
    --- stdout
    error: CodeDeploy's agents 1.8 and 2.x refuse this file: a key cannot stand here
     --> ./appspec.yml:3:9
      |
    3 | hooks: x: y
      |         ^ write a value that has ': ' in it in quotes, and indent this line as the keys beside it

    handover lint: 1 error, no warnings
    ");
    assert_snapshot!(with("  ApplicationStart:", "  ApplicationStop:"), @r"
    exit: 2
    --- stdout
    error: no event that deploys runs 'bin/handover': nothing would be deployed
     --> ./appspec.yml:1:1
      |
    1 | version: 0.0
      | ^ run it in ApplicationStart, for example

    warning: the event ApplicationStop stands here for the second time: both agents forget the first
     --> ./appspec.yml:6:3
      |
    6 |   ApplicationStop:
      |   ^^^^^^^^^^^^^^^ write its scripts in one list

    handover lint: 1 error, 1 warning
    ");
}

#[test]
fn the_head_of_an_appspec() {
    assert_snapshot!(of_appspec(""), @r"
    exit: 2
    --- stdout
    error: CodeDeploy's agents 1.8 and 2.x refuse this file: there is nothing in it
     --> ./appspec.yml:1:1
      |
    1 |
      | ^ write version, os and hooks

    handover lint: 1 error, no warnings
    ");
    assert_snapshot!(with("version: 0.0", "version: \"0.0\"\nfiles:\n  - source: /\n    destination: /opt/app"), @r#"
    exit: 2
    --- stdout
    error: CodeDeploy's agents 1.8 and 2.x refuse this version: it is a text, not the number 0.0
     --> ./appspec.yml:1:10
      |
    1 | version: "0.0"
      |          ^^^^^ write version: 0.0

    warning: handover needs no files section: it runs from the bundle, and CodeDeploy fails when a file is already there
     --> ./appspec.yml:2:1
      |
    2 | files:
      | ^^^^^^ leave it out, unless other scripts need it

    handover lint: 1 error, 1 warning
    "#);
}

#[test]
fn events() {
    assert_snapshot!(with("ApplicationStart", "AplicationStart"), @r"
    exit: 2
    --- stdout
    error: CodeDeploy's agents 1.8 and 2.x refuse the event 'AplicationStart' at Install: there is none of that name
     --> ./appspec.yml:6:3
      |
    6 |   AplicationStart:
      |   ^^^^^^^^^^^^^^^ did you mean 'ApplicationStart'?

    handover lint: 1 error, no warnings
    ");
    assert_snapshot!(with("  ApplicationStart:", "  AfterAllowTraffic:\n    - location: bin/handover\n  AfterInstall:\n  ApplicationStart:"), @r"
    exit: 2
    --- stdout
    warning: handover does nothing in AfterAllowTraffic
     --> ./appspec.yml:6:3
      |
    6 |   AfterAllowTraffic:
      |   ^^^^^^^^^^^^^^^^^ leave it out

    error: CodeDeploy's agent 1.8 refuses the event AfterInstall: it has no list of scripts
     --> ./appspec.yml:8:3
      |
    8 |   AfterInstall:
      |   ^^^^^^^^^^^^ leave it out

    handover lint: 1 error, 1 warning
    ");
    let bundle = Bundle::with_a_script();
    bundle.write("stop.sh", "#!/bin/sh\n");
    bundle.set_mode("stop.sh", 0o755);
    bundle.write("appspec.yml", &APPSPEC.replacen("bin/handover", "stop.sh", 1));
    assert_snapshot!(bundle.lint(&[]).seen(), @r"
    exit: 0
    --- stdout
    warning: in ApplicationStop the OLD bundle's script runs: if it fails, no new bundle can fix it
     --> ./appspec.yml:5:17
      |
    5 |     - location: stop.sh
      |                 ^^^^^^^ let it exit 0 whatever happens, and stop nothing that serves

    handover lint: no errors, 1 warning
    ");
}

#[test]
fn locations() {
    for (location, why) in [
        ("bin/handover --verbose", "passes no arguments"),
        ("bin/smoke test.sh", "agent 1.8 runs 'bin/smoke test.sh' through a shell"),
        ("../../../../../../../bin/sh", "leads out of the bundle"),
        ("/usr/bin/handover", "is not in the bundle"),
        ("bin", "is not a file"),
        ("\"\"", "has no location"),
    ] {
        let seen = with(
            "    - location: bin/handover\n      timeout",
            &format!("    - location: bin/handover\n    - location: {location}\n      timeout"),
        );
        assert!(seen.exit == Some(2) && seen.stdout.contains(why), "{location}: {seen}");
    }
    assert_snapshot!(with("location: bin/handover\n      timeout", "location: bin/handover --verbose\n      timeout"), @r"
    exit: 2
    --- stdout
    error: CodeDeploy passes no arguments: it would look for a file 'bin/handover --verbose'
     --> ./appspec.yml:7:17
      |
    7 |     - location: bin/handover --verbose
      |                 ^^^^^^^^^^^^^^^^^^^^^^ write the path alone

    handover lint: 1 error, no warnings
    ");
}

#[test]
fn timeouts() {
    for (timeout, why) in [
        ("0", "agents 1.8 and 2.x refuse this timeout: it is less than 1 s"),
        ("soon", "agent 1.8 refuses this timeout: it reads it as 0"),
        ("30.5", "agent 2.x refuses this timeout: it is no whole number"),
        ("-1", "agent 1.8 refuses this timeout: it is less than 1 s"),
        ("\"600\"", "agent 2.x refuses this timeout: it takes no quotes"),
        ("20", "the timeout of ApplicationStart is 20 s"),
    ] {
        let seen = with("600", timeout);
        assert!(seen.exit == Some(2) && seen.stdout.contains(why), "{timeout}: {seen}");
        assert!(seen.stdout.contains("appspec.yml:8:16"), "{timeout}: {seen}");
    }
    assert_snapshot!(with("600", "3000\n    - location: bin/handover\n      timeout: 601"), @r"
    exit: 0
    --- stdout
    warning: the scripts of ApplicationStart may take 3601 s together
     --> ./appspec.yml:6:3
      |
    6 |   ApplicationStart:
      |   ^^^^^^^^^^^^^^^^ CodeDeploy ends an event after 3600 s; a script without a timeout counts as 3600 s

    handover lint: no errors, 1 warning
    ");
}

#[test]
fn going_back_has_to_fit_for_every_group() {
    let bundle = Bundle::with_a_script();
    let groups = "groups = [\"test\", \"production\"]\n[image]";
    let table = "[group.production.process.web.health]\nmin-healthy = \"5m\"\ndeadline = \"9m\"\n";
    bundle.write("handover.toml", &(CONFIG.replacen("[image]", groups, 1) + table));
    assert_snapshot!(bundle.lint(&[]).seen(), @r"
    exit: 2
    --- stdout
    error: the timeout of ApplicationStart is 600 s, but the gate and going back to the old release may take 679 s
     --> ./appspec.yml:8:16
      |
    8 |       timeout: 600
      |                ^^^ raise it
      |
      = note: in group production

    handover lint: 1 error, no warnings
    ");
}

#[test]
fn users() {
    assert_snapshot!(with("600", "600\n      runas: root"), @r"
    exit: 0
    --- stdout
    warning: with runas, handover runs under su, which leaves it only 2 s to go back when CodeDeploy stops it
     --> ./appspec.yml:9:14
      |
    9 |       runas: root
      |              ^^^^ leave it out: hooks run as root

    handover lint: no errors, 1 warning
    ");
    assert_snapshot!(with("600", "600\n      runas: ubuntu\n      sudo: true"), @r"
    exit: 2
    --- stdout
    error: handover has to run as root
     --> ./appspec.yml:9:14
      |
    9 |       runas: ubuntu
      |              ^^^^^^ leave runas out: hooks run as root

    error: sudo removes the variables that CodeDeploy sets
      --> ./appspec.yml:10:13
       |
    10 |       sudo: true
       |             ^^^^ leave it out

    handover lint: 2 errors, no warnings
    ");
}

#[test]
fn what_a_group_gets() {
    let bundle = Bundle::with_a_script();
    let groups = "groups = [\"test\", \"production-*\"]\n[image]";
    let tables =
        "[group.test]\ndisposable = true\nprocess.web.publish = false\nprocess.web.memory = \"256m\"\n";
    bundle.write("handover.toml", &(CONFIG.replacen("[image]", groups, 1) + tables));
    let seen = bundle.lint(&["--show-effective", "test"]).seen();
    assert_snapshot!(seen, @r#"
    exit: 0
    --- stdout
    # handover.toml as group 'test' gets it
    app = "status-page"  # handover.toml:1
    disposable = true  # [group.test] handover.toml:10

    [image]
    repository = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page"  # handover.toml:4
    tag = "v1"  # handover.toml:5

    [process.web]
    memory = "256m"  # [group.test] handover.toml:12
    order = "stop-first"  # handover.toml:8

    # removed: process.web.publish  # [group.test] handover.toml:11
    "#);
    assert!(bundle.lint(&["--show-effective", "production-eu"]).seen().stdout.contains("8000:8000"));
    assert_snapshot!(bundle.lint(&["--show-effective", "prod"]).seen(), @r#"
    exit: 2
    --- stderr
    error: --show-effective is 'prod', which is none of these groups
     --> ./handover.toml:2:10
      |
    2 | groups = ["test", "production-*"]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^ did you mean 'production-*'?
    "#);
    // What is shown is a configuration by itself.
    bundle.write("handover.toml", &seen.stdout);
    assert_eq!(
        bundle.lint(&[]).seen().to_string(),
        "exit: 0\n--- stdout\nhandover lint: no errors, no warnings"
    );
}

#[test]
fn a_secret_in_a_file_of_variables_is_a_warning_without_its_value() {
    let bundle = Bundle::with_a_script();
    bundle.write("app.env", "LEVEL=INFO\nDATABASE_PASSWORD=hunter2\n");
    let from = "[environment]\nfrom = [\"app.env\"]\n[process.web]";
    bundle.write("handover.toml", &CONFIG.replacen("[process.web]", from, 1));
    assert_snapshot!(bundle.lint(&[]).seen(), @r#"
    exit: 0
    --- stdout
    warning: app.env, line 2: the value of 'DATABASE_PASSWORD' looks like a secret
     --> ./handover.toml:6:9
      |
    6 | from = ["app.env"]
      |         ^^^^^^^^^ keep it in Secrets Manager or Parameter Store, and write DATABASE_PASSWORD = { secret = "NAME.FIELD" }

    handover lint: no errors, 1 warning
    "#);
}

/// What lint passes, the hook accepts.
#[test]
fn a_location_may_be_a_link_or_a_script_that_starts_the_binary() {
    const WRAPPER: &str = "#!/bin/sh\nexec \"$(dirname \"$0\")/handover-$(uname -m)\" \"$@\"\n";
    for (location, is_ours) in [
        ("/bin/handover", true),
        ("./bin/../bin/handover", true),
        ("bin/handover-x86_64", true),
        ("bin/handover.sh", true),
        ("run", true),
        ("smoke.sh", false),
    ] {
        let bundle = Bundle::with_a_script();
        bundle.write("bin/handover.sh", WRAPPER);
        bundle.set_mode("bin/handover.sh", 0o755);
        std::os::unix::fs::symlink("bin/handover-x86_64", bundle.path("run")).unwrap();
        bundle.write("appspec.yml", &APPSPEC.replace("bin/handover", location));
        let seen = bundle.lint(&[]).seen();
        assert_eq!(seen.exit == Some(0), is_ours, "{location}: {seen}");
        let read = handover::codedeploy::appspec::AppSpec::read(&bundle.path(""), "bin/handover-x86_64");
        assert_eq!(read.is_ok(), is_ours, "{location}: {read:?}");
    }
}

#[test]
fn a_script_that_cannot_be_started() {
    for (text, why) in [
        ("#!/bin/sh\r\nexec ./handover-x86_64\r\n", "lines that end as on Windows"),
        ("\u{feff}#!/bin/sh\nexec ./handover-x86_64\n", "agent 2.x cannot start it"),
        ("exec ./handover-x86_64\n", "agent 2.x cannot start it"),
        ("#!/bin/sh\necho hello\n", "it cannot be seen which binary of handover it starts"),
        ("#!/bin/sh\n./handover-x86_64\n", "it cannot be seen which binary of handover it starts"),
    ] {
        let bundle = Bundle::with_a_script();
        bundle.rename("bin/handover-x86_64", "bin/other");
        bundle.write("bin/handover", text);
        let seen = bundle.lint(&[]).seen();
        assert!(seen.exit == Some(2) && seen.stdout.contains(why), "{text:?}: {seen}");
        // Of another script it matters only that it can be started.
        let bundle = Bundle::with_a_script();
        bundle.write("smoke.sh", text);
        bundle.write("smoke.sh-notes", "what beside handover would be a binary\n");
        bundle.write("appspec.yml", &APPSPEC.replacen("bin/handover", "smoke.sh", 1));
        let seen = bundle.lint(&[]).seen();
        assert_eq!(seen.stdout.contains(why), !why.starts_with("it cannot"), "{text:?}: {seen}");
        assert!(!seen.stdout.contains("notes"), "{text:?}: {seen}");
    }
}

#[test]
fn a_link_that_leads_out_of_the_bundle() {
    let bundle = Bundle::with_a_script();
    bundle.remove("bin/handover");
    std::os::unix::fs::symlink("/bin/sh", bundle.path("bin/handover")).unwrap();
    let seen = bundle.lint(&[]).seen();
    assert!(seen.exit == Some(2) && seen.stdout.contains("leads out of the bundle"), "{seen}");
}

#[test]
fn two_copies_are_two_scripts() {
    let bundle = Bundle::with_a_script();
    std::fs::copy(bundle.path("bin/handover-x86_64"), bundle.path("handover")).unwrap();
    let seen = with("600", "600");
    assert_eq!(seen.exit, Some(0), "{seen}");
    bundle.write("appspec.yml", &APPSPEC.replacen("bin/handover", "handover", 1));
    let seen = bundle.lint(&[]).seen();
    assert!(seen.exit == Some(2) && seen.stdout.contains("is another file than 'handover'"), "{seen}");
}

#[test]
fn a_timeout_that_leaves_no_time_for_preflight() {
    let before = |timeout: u32| {
        let event = format!("  BeforeInstall:\n    - location: bin/handover\n      timeout: {timeout}\n");
        with("  ApplicationStart:", &format!("{event}  ApplicationStart:"))
    };
    assert_snapshot!(before(30), @r"
    exit: 0
    --- stdout
    warning: the timeout of BeforeInstall leaves 30 s for preflight, which may take 60 s where AWS or the registry is slow, and for the pull
     --> ./appspec.yml:8:16
      |
    8 |       timeout: 30
      |                ^^ raise it

    handover lint: no errors, 1 warning
    ");
    assert!(before(60).stdout.contains("no errors, no warnings"));
    // Where one event does all, its timeout is for both.
    let seen = with("600", "120");
    assert!(seen.exit == Some(0) && seen.stdout.contains("for preflight"), "{seen}");
}

#[test]
fn what_the_agents_read_differently_is_a_warning() {
    for (from, to, why) in [
        ("os: linux", "os: linux\npermissions:\n  - object: /a\n    mode: 0644", "1.8 as 0420, 2.x as 0644"),
        ("600", "600\n    - location: 010", "location differently: 1.8 as '8', 2.x as '010'"),
    ] {
        let seen = with(from, to);
        assert!(seen.stdout.contains(why), "{to}: {seen}");
    }
}

#[test]
fn files_that_are_no_text_or_too_long() {
    let bundle = Bundle::with_a_script();
    std::fs::write(bundle.path("handover.toml"), [CONFIG.as_bytes(), b"# caf\xe9 hunter2\n"].concat())
        .unwrap();
    bundle.write("appspec.yml", &format!("# {}", "x".repeat(1 << 20)));
    assert_snapshot!(bundle.lint(&[]).seen(), @r"
    exit: 2
    --- stdout
    error: this is not UTF-8
     --> ./handover.toml:8:6
      |
    8 | # caf�
      |      ^ save the file as UTF-8

    error: the file has more than 1 MiB
     --> ./appspec.yml:1:1
      |
    1 |
      | ^ is it an appspec.yml?

    handover lint: 2 errors, no warnings
    ");
    bundle.write("handover.toml", &format!("# {}", "x".repeat(1 << 20)));
    bundle.write("appspec.yml", APPSPEC);
    assert_snapshot!(bundle.lint(&[]).seen(), @r"
    exit: 2
    --- stdout
    error: the file has more than 1 MiB
     --> ./handover.toml:1:1
      |
    1 |
      | ^ is it handover.toml? What is long belongs into files of the bundle

    handover lint: 1 error, no warnings
    ");
}

#[test]
fn circles_and_services_in_after() {
    let bundle = Bundle::with_a_script();
    let tables = "[process.a]\nafter = [\"b\"]\n[process.b]\nafter = [\"c\"]\n[process.c]\nafter = [\"a\"]\n";
    bundle.write("handover.toml", &(CONFIG.to_owned() + tables));
    assert_snapshot!(bundle.lint(&[]).seen(), @r#"
    exit: 2
    --- stdout
    error: a circle: 'c' comes after 'a', that after 'b', that after 'c'
      --> ./handover.toml:13:10
       |
    13 | after = ["a"]
       |          ^^^ remove one of them

    handover lint: 1 error, no warnings
    "#);
    let crossing: String = (0..60)
        .flat_map(|layer| (0..4).map(move |n| (layer, n)))
        .map(|(layer, n): (usize, usize)| {
            let below = layer
                .checked_sub(1)
                .into_iter()
                .flat_map(|below| (0..4).map(move |n| format!("'l{below}-{n}'")));
            format!("[process.l{layer}-{n}]\nafter = [{}]\n", below.collect::<Vec<_>>().join(", "))
        })
        .collect();
    bundle.write("handover.toml", &(CONFIG.to_owned() + &crossing));
    // So many processes take their time in the switch; to look at them takes none.
    let seen = bundle.lint(&[]).seen().to_string();
    assert!(
        seen.contains("the timeout of ApplicationStart") && seen.ends_with("1 error, no warnings"),
        "{seen}"
    );
}
