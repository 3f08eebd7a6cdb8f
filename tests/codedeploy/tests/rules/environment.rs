//! What a hook process gets (contract 1.1, 1.2).

use std::collections::BTreeMap;

use codedeploy::{Deployment, Revision, Version, WorkingDirectory, lifecycle};

use crate::support::Host;

/// A hook that keeps the environment it was started with.
fn dump(host: &Host, name: &str) -> String {
    format!("tr '\\0' '\\n' < /proc/$$/environ > {}", host.path(name).display())
}

fn environment(host: &Host, name: &str) -> BTreeMap<String, String> {
    host.text(name)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn keys(environment: &BTreeMap<String, String>) -> Vec<&str> {
    environment.keys().map(String::as_str).collect()
}

fn s3(key: &str) -> Revision {
    Revision::S3 { bucket: "bundles".into(), key: key.into(), version: None, etag: None }
}

const BASE: [&str; 7] = [
    "APPLICATION_NAME",
    "DEPLOYMENT_GROUP_ID",
    "DEPLOYMENT_GROUP_NAME",
    "DEPLOYMENT_ID",
    "LANG",
    "LIFECYCLE_EVENT",
    "PATH",
];

#[test]
fn a_local_bundle_gets_the_five_variables_and_the_agents_two() {
    for version in Version::ALL {
        let host = Host::new(version);
        host.start(20, &dump(&host, "env"));
        let env = environment(&host, "env");
        assert_eq!(keys(&env), BASE, "no HOME, USER or SHELL, no BUNDLE_*");
        assert_eq!(env["LIFECYCLE_EVENT"], "ApplicationStart");
        assert_eq!(env["DEPLOYMENT_ID"], "d-START0001");
        assert_eq!(env["APPLICATION_NAME"], "Application");
        assert_eq!(env["DEPLOYMENT_GROUP_NAME"], "DeploymentGroup");
    }
}

#[test]
fn what_the_service_does_not_send_is_unset_and_v2_knows_the_etag_from_the_download() {
    for version in Version::ALL {
        let host = Host::new(version);
        let bundle = host.bundle("b").hook("AfterInstall", &dump(&host, "env")).write();
        let mut deployment = Deployment::of_bundle(bundle);
        deployment.revision = s3("one.tar");
        assert!(host.deploy(&deployment).succeeded());
        let env = environment(&host, "env");
        assert_eq!((env["BUNDLE_BUCKET"].as_str(), env["BUNDLE_KEY"].as_str()), ("bundles", "one.tar"));
        assert!(!env.contains_key("BUNDLE_VERSION"));
        assert_eq!(env.contains_key("BUNDLE_ETAG"), version == Version::V2);

        deployment.revision = Revision::GitHub { commit: "abc".into() };
        assert!(host.deploy(&deployment).succeeded());
        let env = environment(&host, "env");
        assert_eq!(env["BUNDLE_COMMIT"], "abc");
        assert!(!env.contains_key("BUNDLE_BUCKET"));
    }
}

#[test]
fn static_aws_keys_of_the_agent_do_not_reach_a_hook() {
    for version in Version::ALL {
        let mut host = Host::new(version);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CREDENTIAL_FILE", "AWS_REGION"] {
            host.agent.env.insert(name.into(), "x".into());
        }
        host.start(20, &dump(&host, "env"));
        let env = environment(&host, "env");
        assert_eq!(
            keys(&env).into_iter().filter(|key| key.starts_with("AWS_")).collect::<Vec<_>>(),
            ["AWS_REGION"]
        );
    }
}

#[test]
fn v2_can_be_told_to_pass_on_less() {
    for version in Version::ALL {
        let mut host = Host::new(version);
        host.agent.env.insert("LD_PRELOAD".into(), String::new());
        host.agent.strip_loader_env = true;
        host.start(20, &dump(&host, "stripped"));
        assert_eq!(environment(&host, "stripped").contains_key("LD_PRELOAD"), version == Version::V1);
        host.agent.restrict_hook_env = true;
        host.start(20, &dump(&host, "restricted"));
        assert_eq!(environment(&host, "restricted").contains_key("LANG"), version == Version::V1);
    }
}

#[test]
fn the_old_bundles_hook_gets_the_new_deployments_environment_and_log() {
    for version in Version::ALL {
        let host = Host::new(version);
        let stop = format!("{}; echo old stop", dump(&host, "env"));
        let mut one =
            Deployment::of_bundle(host.bundle("one").hook("ApplicationStop", &stop).write()).id("d-ONE");
        one.revision = s3("one.tar");
        assert!(host.deploy(&one).succeeded());
        assert_eq!(host.text("env"), "", "the first deployment has no previous bundle");

        let mut two = Deployment::of_bundle(host.bundle("two").write()).id("d-TWO");
        two.revision = s3("two.tar");
        let report = host.deploy(&two);
        let stop = report.event("ApplicationStop").expect("in the order");
        assert_eq!(stop.revision.as_deref(), Some("d-ONE"));
        let env = environment(&host, "env");
        assert_eq!((env["DEPLOYMENT_ID"].as_str(), env["BUNDLE_KEY"].as_str()), ("d-TWO", "two.tar"));
        // Before the download there is no ETag, in v2 either.
        assert!(!env.contains_key("BUNDLE_ETAG"));
        let log = host.agent.layout.scripts_log(&two.group_id, "d-TWO");
        assert!(std::fs::read_to_string(log).expect("a log").contains("[stdout]old stop"));
    }
}

#[test]
fn the_working_directory_is_the_agents_even_a_deleted_one() {
    for version in Version::ALL {
        let mut host = Host::new(version);
        let body = format!("readlink /proc/$$/cwd > {}", host.path("cwd").display());
        host.start(20, &body);
        assert_eq!(host.text("cwd"), "/\n");
        host.agent.cwd = WorkingDirectory::Path(host.dir.path().into());
        host.start(20, &body);
        assert_eq!(host.text("cwd").trim(), host.dir.path().to_str().expect("UTF-8"));
        host.agent.cwd = WorkingDirectory::Deleted;
        host.start(20, &body);
        assert!(host.text("cwd").trim().ends_with(" (deleted)"), "{}", host.text("cwd"));
    }
}

#[test]
fn a_hook_leads_its_own_group_with_an_ended_stdin_and_two_pipes() {
    for version in Version::ALL {
        let host = Host::new(version);
        let body = format!(
            "exec 3> {}; echo $$ >&3; cut -d' ' -f5 /proc/$$/stat >&3; readlink /proc/$$/fd/0 >&3; cat >&3; \
             out=$(readlink /proc/$$/fd/1); err=$(readlink /proc/$$/fd/2); echo $out >&3; echo $err >&3",
            host.path("seen").display()
        );
        let report = host.start(20, &body);
        assert_eq!(report.exit, Some(0));
        let seen = host.text("seen");
        let [pid, group, stdin, stdout, stderr] = seen.lines().collect::<Vec<_>>()[..] else {
            panic!("five lines: {seen}")
        };
        assert_eq!(pid, group);
        match version {
            Version::V1 => assert!(stdin.starts_with("pipe:"), "{stdin}"),
            Version::V2 => assert_eq!(stdin, "/dev/null"),
        }
        assert!(stdout.starts_with("pipe:") && stderr.starts_with("pipe:") && stdout != stderr);
    }
}

#[test]
fn the_full_order_has_the_traffic_events() {
    for version in Version::ALL {
        let host = Host::new(version);
        let say = format!("echo $LIFECYCLE_EVENT >> {}", host.path("order").display());
        let events = lifecycle::in_place(true);
        let hookable: Vec<&String> =
            events.iter().filter(|event| lifecycle::actor(event) == Some(lifecycle::Actor::Hook)).collect();
        let bundle = hookable.iter().fold(host.bundle("b"), |bundle, event| bundle.hook(event, &say)).write();
        for id in ["d-ONE", "d-TWO"] {
            let report = host
                .agent
                .deploy(&Deployment::of_bundle(&bundle).id(id), &events, &mut |_| {})
                .expect("the agent works");
            assert!(report.succeeded());
        }
        let order = host.text("order");
        let first = ["BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop"];
        let ran: Vec<&str> = order.lines().collect();
        let later = hookable.iter().map(|event| event.as_str());
        let expected: Vec<&str> = later.clone().filter(|event| !first.contains(event)).chain(later).collect();
        assert_eq!(ran, expected, "the first deployment's three are no-ops");
    }
}
