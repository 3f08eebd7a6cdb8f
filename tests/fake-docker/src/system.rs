//! What the Engine says about itself.

use serde_json::json;

use crate::{
    answer::{Answer, Body, Reply},
    container::Status,
    request::Request,
    world::World,
};

/// The release that the fake says it is.
pub(crate) const RELEASE: &str = "20.10.24";

pub(crate) fn ping(request: &Request) -> Answer {
    request.no_more_parameters()?;
    Ok(Reply::new(200, Body::Text("OK")))
}

pub(crate) fn version(world: &World, request: &Request) -> Answer {
    request.no_more_parameters()?;
    let text = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    Ok(Reply::json(json!({
        "Platform": { "Name": "" },
        "Components": [{ "Name": "Engine", "Version": RELEASE, "Details": { "Os": "linux", "Arch": "amd64" } }],
        "Version": RELEASE,
        "ApiVersion": text(world.max_version),
        "MinAPIVersion": text(world.min_version),
        "GitCommit": "fake",
        "GoVersion": "go1.19.8",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "6.1.0",
        "BuildTime": "2023-04-04T18:17:18.000000000+00:00",
    })))
}

pub(crate) fn info(world: &World, request: &Request) -> Answer {
    request.no_more_parameters()?;
    let count = |status: Status| world.containers.iter().filter(|c| c.status == status).count();
    let running = count(Status::Running) + count(Status::Restarting);
    Ok(Reply::json(json!({
        "ID": "FAKE:FAKE:FAKE:FAKE:FAKE:FAKE:FAKE:FAKE:FAKE:FAKE:FAKE:FAKE",
        "Containers": world.containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": world.containers.len() - running,
        "Images": world.local.len(),
        "Driver": "overlay2",
        "DriverStatus": null,
        "MemoryLimit": true,
        "SwapLimit": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "PidsLimit": true,
        "IPv4Forwarding": true,
        "BridgeNfIptables": true,
        "BridgeNfIp6tables": true,
        "Debug": false,
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "1",
        "KernelVersion": "6.1.0",
        "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
        "OSType": "linux",
        "Architecture": "x86_64",
        "NCPU": 2,
        "MemTotal": 4_000_000_000_u64,
        "DockerRootDir": "/var/lib/docker",
        "Name": "fake",
        "ExperimentalBuild": false,
        "ServerVersion": RELEASE,
        "LiveRestoreEnabled": false,
        "SecurityOptions": ["name=seccomp,profile=default"],
        "Warnings": null,
    })))
}
