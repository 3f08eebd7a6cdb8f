//! Deployment groups, as a hook and an operator meet them.

use insta::assert_snapshot;

use crate::bundle::{Bundle, CONFIG, Seen};

/// A bundle for two groups and a pattern. Docker's socket does not exist: who gets as far as that says so.
fn bundle(tables: &str) -> Bundle {
    let bundle = Bundle::new();
    let groups = "groups = [\"test\", \"production\", \"load-*\"]\n[image]";
    bundle.write("handover.toml", &format!("{}{tables}", CONFIG.replacen("[image]", groups, 1)));
    bundle
}

fn hook(bundle: &Bundle, group: &str) -> Seen {
    bundle.hook("ApplicationStart").env("DEPLOYMENT_GROUP_NAME", group).seen()
}

fn plan(bundle: &Bundle, more: &[&str]) -> Seen {
    let folder = bundle.folder();
    bundle.run(&[&["plan", folder.as_str()], more].concat()).seen()
}

#[test]
fn a_hook_of_another_group_asks_nobody_for_anything() {
    assert_snapshot!(hook(&bundle(""), "prodction"), @r#"
    exit: 2
    --- stderr
    error: DEPLOYMENT_GROUP_NAME is 'prodction', which is none of these groups
     --> BUNDLE/handover.toml:2:10
      |
    2 | groups = ["test", "production", "load-*"]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean 'production'?
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(hook(&bundle(""), "staging"), @r#"
    exit: 2
    --- stderr
    error: DEPLOYMENT_GROUP_NAME is 'staging', which is none of these groups
     --> BUNDLE/handover.toml:2:10
      |
    2 | groups = ["test", "production", "load-*"]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ known here: test, production, load-*
    handover: FAILED (exit 2): nothing was changed
    "#);
    let unset = bundle("").hook("ApplicationStart").without("DEPLOYMENT_GROUP_NAME").seen();
    assert_snapshot!(unset, @r#"
    exit: 2
    --- stderr
    error: DEPLOYMENT_GROUP_NAME is not set, and this configuration is only for these groups
     --> BUNDLE/handover.toml:2:10
      |
    2 | groups = ["test", "production", "load-*"]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ here
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_eq!(
        bundle("").hook("ApplicationStart").env("DEPLOYMENT_GROUP_NAME", "").seen().to_string(),
        unset.to_string()
    );
}

#[test]
fn an_operator_says_which_group() {
    assert_snapshot!(plan(&bundle(""), &[]), @r#"
    exit: 2
    --- stderr
    error: no group is given, and this configuration is only for these groups
     --> BUNDLE/handover.toml:2:10
      |
    2 | groups = ["test", "production", "load-*"]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ add --group NAME, one of: test, production, load-*
    "#);
    assert_snapshot!(plan(&bundle(""), &["--group", "tets"]), @r#"
    exit: 2
    --- stderr
    error: --group is 'tets', which is none of these groups
     --> BUNDLE/handover.toml:2:10
      |
    2 | groups = ["test", "production", "load-*"]
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean 'test'?
    "#);
    for known in ["test", "production", "load-1"] {
        let seen = plan(&bundle(""), &["--group", known]);
        assert!(seen.stderr.contains("Docker does not answer"), "{seen}");
    }
}

#[test]
fn mistakes_in_the_groups_own_table() {
    assert_snapshot!(hook(&bundle("[group.test.process.web]\nmemroy = \"256m\"\n"), "test"), @r#"
    exit: 2
    --- stderr
    error: unknown key 'memroy'
      --> BUNDLE/handover.toml:10:1
       |
    10 | memroy = "256m"
       | ^^^^^^ did you mean 'memory'?
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    assert_snapshot!(hook(&bundle("[group.tset]\nprocess.web.memory = \"256m\"\n"), "production"), @r"
    exit: 2
    --- stderr
    error: 'tset' is not in 'groups'
     --> BUNDLE/handover.toml:9:8
      |
    9 | [group.tset]
      |        ^^^^ did you mean 'test'?
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(hook(&bundle("[group.test]\nprocess.wbe = false\n"), "test"), @r"
    exit: 2
    --- stderr
    error: there is no 'wbe' to remove
      --> BUNDLE/handover.toml:10:15
       |
    10 | process.wbe = false
       |               ^^^^^ did you mean 'web'?
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
}

/// Production must not wait for a word in the table of another group; `handover lint` finds it before.
#[test]
fn mistakes_in_another_groups_table_do_not_matter() {
    let bundle = bundle("[group.test.process.web]\nmemroy = \"256m\"\n");
    let seen = plan(&bundle, &["--group", "production"]);
    assert!(seen.stderr.contains("Docker does not answer"), "{seen}");
    assert_eq!(bundle.lint(&[]).seen().exit, Some(2));
}

#[test]
fn the_command_that_is_named_shows_the_same_error() {
    let spec = |event: &str, timeout: &str| {
        format!(
            "version: 0.0\nos: linux\nhooks:\n  {event}:\n    - location: bin/handover\n      timeout: {timeout}\n"
        )
    };
    let broken = [
        ("handover.toml", CONFIG.replace("tag =", "tga =")),
        ("handover.toml", CONFIG.replace("8000:8000", "0:8000")),
        ("appspec.yml", spec("ApplicationBegin", "600")),
        ("appspec.yml", spec("ApplicationStart", "20")),
        ("appspec.yml", spec("ApplicationStart", "soon")),
        ("appspec.yml", spec("ApplicationStop", "60")),
        ("appspec.yml", "hooks: [".to_owned()),
    ];
    for (file, text) in broken {
        let bundle = Bundle::new();
        bundle.write(file, &text);
        let hook = bundle.hook("ApplicationStart").seen();
        let (error, rest) = hook.stderr.split_once("next:  handover ").unwrap_or_else(|| panic!("{hook}"));
        let named = rest.lines().next().unwrap_or_default().replace("BUNDLE", &bundle.folder());
        let lint = bundle.run(&named.split(' ').collect::<Vec<_>>()).seen();
        assert!(lint.exit == Some(2) && lint.stdout.contains(error.trim_end()), "{hook}\n{lint}");
    }
}

/// What it keeps would be on one instance, and nobody would back it up.
#[test]
fn a_service_is_only_for_a_disposable_group() {
    let service = "[image.postgres]\nrepository = \"postgres\"\ntag = \"15\"\n[group.test]\ndisposable = true\n\
                   [group.test.service.database]\nimage = \"postgres\"\n";
    let seen = plan(&bundle(service), &["--group", "test"]);
    assert!(seen.stderr.contains("Docker does not answer"), "{seen}");
    let lasting = service.replace("disposable = true\n", "");
    assert_snapshot!(hook(&bundle(&lasting), "test"), @r"
    exit: 2
    --- stderr
    error: service 'database' is only for a group with nothing to lose
      --> BUNDLE/handover.toml:13:21
       |
    13 | [group.test.service.database]
       |                     ^^^^^^^^ write it in a [group.NAME] with disposable = true, or use a server that outlives the instance
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    // In another group nobody is kept waiting by it.
    let seen = plan(&bundle(&lasting), &["--group", "production"]);
    assert!(seen.stderr.contains("Docker does not answer"), "{seen}");
    assert_eq!(bundle(&lasting).lint(&[]).seen().exit, Some(2));
    let misspelt = service.replace("image = \"postgres\"\n", "image = \"postgres\"\nvolume = [\"x:/x\"]\n");
    assert_snapshot!(hook(&bundle(&misspelt), "test"), @r#"
    exit: 2
    --- stderr
    error: unknown key 'volume'
      --> BUNDLE/handover.toml:16:1
       |
    16 | volume = ["x:/x"]
       | ^^^^^^ write volumes, such as volumes = ["/HOST/PATH:/PATH:ro"]
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
}
