//! The hook, as `CodeDeploy`'s agents run it.

use insta::assert_snapshot;

use crate::bundle::{Bundle, everybodys_folder, handover};

#[test]
fn the_hooks_of_the_old_bundle_succeed_with_everything_broken() {
    for event in ["ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"] {
        let bundle = Bundle::new();
        bundle.write("handover.toml", "this is no TOML");
        bundle.write("appspec.yml", "{");
        let done = "exit: 0\n--- stderr\nhandover: done: nothing to do in this event";
        assert_eq!(bundle.hook(event).seen().to_string(), done);
        assert_eq!(
            bundle.hook(event).without("DEPLOYMENT_ID").env("DEPLOYMENT_ID", "").seen().to_string(),
            done
        );
        assert_eq!(bundle.run(&["hook", event]).seen().to_string(), done);
        bundle.remove("handover.toml");
        bundle.remove("appspec.yml");
        assert_eq!(bundle.hook(event).seen().to_string(), done);
        assert_eq!(handover(&[]).env("LIFECYCLE_EVENT", event).seen().to_string(), done);
    }
}

/// The agents share one working directory between their threads; a hook may find it deleted.
#[test]
fn a_deleted_working_directory_does_not_matter() {
    let bundle = Bundle::new();
    bundle.write("handover.toml", "app = 1");
    for (event, exit) in [("ApplicationStop", 0), ("ApplicationStart", 2)] {
        let above = everybodys_folder();
        let folder = above.path().join("gone");
        std::fs::create_dir(&folder).unwrap();
        let script =
            format!("rmdir '{}' && exec '{}'", folder.display(), bundle.path("bin/handover").display());
        let seen = bundle.through_a_shell(&script, event).within(&folder).seen();
        assert_eq!(seen.exit, Some(exit), "{seen}");
        assert_eq!(seen.stderr.contains("handover.toml"), exit == 2, "{seen}");
        assert!(!folder.exists());
    }
}

#[test]
fn closed_streams_do_not_matter() {
    let bundle = Bundle::new();
    let script = format!("exec '{}' >&- 2>&- <&-", bundle.path("bin/handover").display());
    assert_eq!(bundle.through_a_shell(&script, "ApplicationStop").seen().exit, Some(0));
    bundle.write("handover.toml", "app = 1");
    assert_eq!(bundle.through_a_shell(&script, "ApplicationStart").seen().exit, Some(2));
}

#[test]
fn events_in_which_there_is_nothing_to_do() {
    let bundle = Bundle::new();
    assert_snapshot!(bundle.hook("AfterAllowTraffic").seen(), @r"
    exit: 0
    --- stderr
    handover: done: nothing to do in this event
    ");
}

#[test]
fn what_codedeploy_would_have_set_is_missed_by_name() {
    let bundle = Bundle::new();
    assert_snapshot!(bundle.hook("ApplicationStart").without("DEPLOYMENT_ID").seen(), @r"
    exit: 2
    --- stderr
    DEPLOYMENT_ID is not set: CodeDeploy sets it for every hook; to deploy by hand, run 'handover deploy'
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(bundle.hook("ApplicationStart").env("DEPLOYMENT_ID", "../../etc").seen(), @r"
    exit: 2
    --- stderr
    DEPLOYMENT_ID is not valid: '../../etc' is not a deployment id: letters, digits, '-', '_' and '.', at most 128
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(bundle.hook("ApplicationBegin").seen(), @r"
    exit: 2
    --- stderr
    'ApplicationBegin' is not a lifecycle event that appspec.yml can script; those are: BeforeBlockTraffic,
    AfterBlockTraffic, ApplicationStop, BeforeInstall, AfterInstall, ApplicationStart, ValidateService,
    BeforeAllowTraffic, AfterAllowTraffic
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(bundle.run(&["hook"]).seen(), @r"
    exit: 2
    --- stderr
    LIFECYCLE_EVENT is not set: CodeDeploy sets it for every hook; to deploy by hand, run 'handover deploy'
    handover: FAILED (exit 2): nothing was changed
    ");
}

#[test]
fn outside_a_bundle() {
    let seen = handover(&["hook", "ApplicationStart"]).env("DEPLOYMENT_ID", "d-1").seen();
    assert_eq!(seen.exit, Some(2));
    assert!(seen.stderr.contains("is not inside a bundle"), "{seen}");
}

#[test]
fn a_bundle_without_its_files() {
    let bundle = Bundle::new();
    bundle.remove("appspec.yml");
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    there is no appspec.yml in 'BUNDLE'
    handover: FAILED (exit 2): nothing was changed
    ");
    let bundle = Bundle::new();
    bundle.remove("handover.toml");
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    failed to read 'BUNDLE/handover.toml': No such file or directory (os error 2)
    handover: FAILED (exit 2): nothing was changed
    ");
}

#[test]
fn an_appspec_that_is_wrong() {
    let bundle = Bundle::new();
    bundle.write(
        "appspec.yml",
        "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: bin/other\n",
    );
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    error: no event that deploys runs 'bin/handover': nothing would be deployed
     --> BUNDLE/appspec.yml:1:1
      |
    1 | version: 0.0
      | ^ run it in ApplicationStart, for example
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    bundle.write(
        "appspec.yml",
        "version: 0.0\nos: linux\nhooks:\n  ApplicationBegin:\n    - location: bin/handover\n",
    );
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    error: CodeDeploy's agents 1.8 and 2.x refuse the event 'ApplicationBegin' at Install: there is none of that name
     --> BUNDLE/appspec.yml:4:3
      |
    4 |   ApplicationBegin:
      |   ^^^^^^^^^^^^^^^^ write a lifecycle event, such as ApplicationStart
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    bundle.write(
        "appspec.yml",
        "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: bin/handover\n      timeout: soon\n",
    );
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    error: CodeDeploy's agent 1.8 refuses this timeout: it reads it as 0
     --> BUNDLE/appspec.yml:6:16
      |
    6 |       timeout: soon
      |                ^^^^ write a whole number of seconds
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    bundle.write("appspec.yml", "hooks: [\n");
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r"
    exit: 2
    --- stderr
    error: CodeDeploy's agents 1.8 and 2.x refuse this file: a '[' or '{' is not closed
     --> BUNDLE/appspec.yml:1:10
      |
    1 | hooks: [
      |         ^ close it
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
}
