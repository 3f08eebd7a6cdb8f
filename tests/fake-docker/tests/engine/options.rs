//! Options of a container that the Engine refuses, in its words (taken from Docker 20.10.24).

use bollard::models::{HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicyNameEnum as Policy};

use crate::common::{body, create, image, refusal, stocked};

fn log(driver: &str, option: &str) -> HostConfig {
    let config = [(option.to_owned(), "1m".to_owned())].into();
    let log = HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(config) };
    HostConfig { log_config: Some(log), ..HostConfig::default() }
}

fn mount(typ: MountType, source: &str) -> HostConfig {
    let (source, target) = (Some(source.to_owned()), Some("/x".to_owned()));
    let mount = Mount { typ: Some(typ), source, target, ..Mount::default() };
    HostConfig { mounts: Some(vec![mount]), ..HostConfig::default() }
}

#[tokio::test]
async fn options_that_are_refused() {
    let bench = stocked(image()).await;
    let texts = |text: &str| Some(vec![text.to_owned()]);
    for (host, says) in [
        (
            HostConfig { nano_cpus: Some(64_000_000_000), ..HostConfig::default() },
            "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            HostConfig { cap_add: texts("FOO"), ..HostConfig::default() },
            "invalid CapAdd: unknown capability: \"CAP_FOO\"",
        ),
        (
            HostConfig { extra_hosts: texts("a:b"), ..HostConfig::default() },
            "invalid IP address in add-host: \"b\"",
        ),
        (
            log("syslog-ng", "tag"),
            "error looking up logging plugin syslog-ng: plugin \"syslog-ng\" not found",
        ),
        (log("json-file", "foo"), "unknown log opt 'foo' for json-file log driver"),
        (
            mount(MountType::BIND, "/nope"),
            "invalid mount config for type \"bind\": bind source path does not exist: /nope",
        ),
        (
            mount(MountType::VOLUME, "m"),
            "create m: volume name is too short, names should be at least two alphanumeric characters",
        ),
    ] {
        let mut asked = body(Policy::NO, None);
        asked.host_config = Some(host);
        assert_eq!(refusal(create(&bench.docker, "web", asked).await), (400, says.to_owned()));
    }
    bench.engine.assert_no_complaints();
    // What the Engine would take and then fail to start with is a mistake of whoever asks for it.
    let mut asked = body(Policy::NO, None);
    asked.host_config = Some(HostConfig {
        tmpfs: Some([("/tmp".to_owned(), "foo".to_owned())].into()),
        ..HostConfig::default()
    });
    create(&bench.docker, "web", asked).await.unwrap_err();
    assert_eq!(bench.engine.complaints().len(), 1);
}
