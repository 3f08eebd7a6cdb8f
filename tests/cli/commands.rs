//! The command line itself.

use insta::assert_snapshot;

use crate::bundle::{Bundle, handover};

#[test]
fn version() {
    assert_snapshot!(handover(&["--version"]).seen(), @r"
    exit: 0
    --- stdout
    handover 0.1.0
    ");
}

#[test]
fn help() {
    assert_snapshot!(handover(&["--help"]).seen(), @r"
    exit: 0
    --- stdout
    Hands an EC2 instance's traffic from the old containers to the new ones.

    CodeDeploy runs it as a lifecycle hook: without arguments; LIFECYCLE_EVENT says which hook. Operators run its commands by hand.

    Usage: handover <COMMAND>

    Commands:
      hook      Do what CodeDeploy's lifecycle event asks for (the same as no arguments and LIFECYCLE_EVENT set)
      deploy    Deploy a bundle, or the last good configuration, in one go
      lint      Check a bundle without AWS and Docker, for every deployment group
      pin       Write down what the tags of a bundle mean now, so that it means the same wherever it is deployed: for CI
      plan      Show what a deployment would change
      status    Show what is serving, what is parked and what is under way
      history   Show the releases that were deployed here, or the story of one of them
      releases  Show what can be gone back to, and what stands in the way of each
      rollback  Go back to an earlier release, as it was: also while AWS and the registry do not answer
      refresh   Hand over to the secrets of now, if one has changed since live was given it
      run       Run a command in a container of its own, with a release's image, environment and files
      recover   Finish or undo an interrupted run
      prune     Remove the releases that are not kept any more
      tend      End abandoned runs, refresh changed secrets and prune: what systemd's timer calls
      install   Put this binary where operators and systemd find it
      help      Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
    assert_snapshot!(handover(&["help", "deploy"]).seen(), @r"
    exit: 0
    --- stdout
    Deploy a bundle, or the last good configuration, in one go

    Usage: handover deploy [OPTIONS] [BUNDLE]

    Arguments:
      [BUNDLE]  The folder of the bundle; the configuration of the last good release by default

    Options:
          --app <APP>     Which app, when several are deployed here and no bundle is given
          --group <NAME>  Which deployment group; that of the last good release by default
          --no-checks     Make none of the checks of what the app needs of others: for a night when one of them is wrong
          --no-bake       Do not watch the candidate under traffic before live is stopped: for a night when every minute counts
      -h, --help          Print help
    ");
    assert_snapshot!(handover(&["hook", "--help"]).seen(), @r"
    exit: 0
    --- stdout
    Do what CodeDeploy's lifecycle event asks for (the same as no arguments and LIFECYCLE_EVENT set)

    Usage: handover hook [EVENT]

    Arguments:
      [EVENT]  The lifecycle event; LIFECYCLE_EVENT's by default

    Options:
      -h, --help  Print help
    ");
}

#[test]
fn no_arguments() {
    let seen = handover(&[]).seen();
    assert_eq!(seen.exit, Some(2));
    assert!(seen.stderr.contains("Usage: handover <COMMAND>"), "{seen}");
}

#[test]
fn an_unknown_command_and_an_unknown_option() {
    assert_snapshot!(handover(&["stats"]).seen(), @r"
    exit: 2
    --- stderr
    error: unrecognized subcommand 'stats'

      tip: a similar subcommand exists: 'status'

    Usage: handover <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(handover(&["deploy", "--grop", "test"]).seen(), @r"
    exit: 2
    --- stderr
    error: unexpected argument '--grop' found

      tip: a similar argument exists: '--group'

    Usage: handover deploy --group <NAME> [BUNDLE]

    For more information, try '--help'.
    ");
}

#[test]
fn nothing_was_deployed_here_yet() {
    if std::path::Path::new("/var/lib/handover").exists() {
        // A machine that handover is in use on has other things to say.
        return;
    }
    assert_snapshot!(handover(&["deploy"]).seen(), @r"
    exit: 2
    --- stderr
    nothing has been deployed here; give the folder of a bundle
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(handover(&["plan"]).seen(), @r"
    exit: 2
    --- stderr
    nothing has been deployed here; give the folder of a bundle
    ");
    assert_snapshot!(handover(&["recover", "--app", "Status Page"]).seen(), @r"
    exit: 2
    --- stderr
    'Status Page' is not a name of lower-case letters, digits and single dashes, 1 to 40 characters, a letter
    first
    handover: FAILED (exit 2): nothing was changed
    ");
}

#[test]
fn no_engine() {
    assert_snapshot!(handover(&["status"]).seen(), @r"
    exit: 3
    --- stderr
    handover: Docker does not answer at '/nonexistent/docker.sock': there is no such file
    fix:   check that it runs: systemctl status docker
    ");
}

#[test]
fn a_folder_that_is_no_bundle() {
    let bundle = Bundle::new();
    bundle.remove("handover.toml");
    let folder = bundle.path("").display().to_string();
    assert_snapshot!(bundle.run(&["deploy", folder.trim_end_matches('/')]).seen(), @r"
    exit: 2
    --- stderr
    failed to read 'BUNDLE/handover.toml': No such file or directory (os error 2)
    handover: FAILED (exit 2): nothing was changed
    ");
    assert_snapshot!(bundle.run(&["plan", folder.trim_end_matches('/')]).seen(), @r"
    exit: 2
    --- stderr
    failed to read 'BUNDLE/handover.toml': No such file or directory (os error 2)
    ");
}
