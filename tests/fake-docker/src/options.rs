//! What the Engine refuses among the options of a new container, in its words (Docker 20.10). What it takes and then
//! fails to start with is refused here at once, as a mistake of the caller's: by then live is down.

use serde_json::Value;

use crate::answer::{Reply, complain, refuse};

/// Processors of the fake's host.
const CPUS: i64 = 2;
const LOG_DRIVERS: &[(&str, &[&str])] = &[
    ("json-file", &["max-size", "max-file", "labels", "env", "tag", "compress", "mode", "max-buffer-size"]),
    ("local", &["max-size", "max-file", "compress", "mode", "max-buffer-size"]),
    ("awslogs", &["awslogs-region", "awslogs-group", "awslogs-stream", "mode", "max-buffer-size"]),
    ("none", &[]),
];
const CAPABILITIES: &[&str] =
    &["ALL", "CHOWN", "KILL", "NET_ADMIN", "NET_BIND_SERVICE", "SYS_NICE", "SYS_TIME"];
const ULIMITS: &[&str] = &["core", "memlock", "nofile", "nproc", "stack"];

/// Checks them all.
pub(crate) fn verify(host: &Value) -> Result<(), Reply> {
    let nano_cpus = host.get("NanoCpus").and_then(Value::as_i64).unwrap_or(0);
    if !(0..=CPUS * 1_000_000_000).contains(&nano_cpus) {
        let text =
            format!("Range of CPUs is from 0.01 to {CPUS}.00, as there are only {CPUS} CPUs available");
        return Err(refuse(400, text));
    }
    if host.get("ShmSize").and_then(Value::as_i64).is_some_and(|size| size < 0) {
        return Err(refuse(400, "SHM size can not be less than 0"));
    }
    log(host.get("LogConfig").unwrap_or(&Value::Null))?;
    for key in ["CapAdd", "CapDrop"] {
        for name in texts(host, key) {
            let upper = name.to_ascii_uppercase();
            let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if !CAPABILITIES.contains(&short) {
                return Err(refuse(400, format!("invalid {key}: unknown capability: \"CAP_{short}\"")));
            }
        }
    }
    for line in texts(host, "ExtraHosts") {
        let Some((_, address)) = line.split_once(':') else {
            return Err(refuse(400, format!("bad format for add-host: {line:?}")));
        };
        if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
            return Err(refuse(400, format!("invalid IP address in add-host: {address:?}")));
        }
    }
    for option in texts(host, "SecurityOpt") {
        let key = option.split(['=', ':']).next().unwrap_or_default();
        if option == key {
            return Err(refuse(500, format!("invalid --security-opt 1: {option:?}")));
        }
        if !["no-new-privileges", "seccomp", "apparmor", "label"].contains(&key) {
            return Err(refuse(500, format!("invalid --security-opt 2: {option:?}")));
        }
    }
    for device in host.get("Devices").and_then(Value::as_array).into_iter().flatten() {
        let path = device.get("PathOnHost").and_then(Value::as_str).unwrap_or_default();
        if !std::path::Path::new(path).exists() {
            return Err(complain(
                400,
                format!(
                    "it would fail to start: error gathering device information while adding custom device {path:?}"
                ),
            ));
        }
    }
    tmpfs(host.get("Tmpfs"))?;
    ulimits(host.get("Ulimits"))
}

fn log(config: &Value) -> Result<(), Reply> {
    let driver = config.get("Type").and_then(Value::as_str).filter(|t| !t.is_empty()).unwrap_or("json-file");
    let Some((_, known)) = LOG_DRIVERS.iter().find(|(name, _)| *name == driver) else {
        let text = format!("error looking up logging plugin {driver}: plugin {driver:?} not found");
        return Err(refuse(400, text));
    };
    for (option, value) in config.get("Config").and_then(Value::as_object).into_iter().flatten() {
        if !known.contains(&option.as_str()) {
            let whose = if driver == "local" { "log driver local" } else { &format!("{driver} log driver") };
            return Err(refuse(400, format!("unknown log opt '{option}' for {whose}")));
        }
        let digits = value.as_str().unwrap_or_default().trim_end_matches(['b', 'k', 'm', 'g']);
        if option.starts_with("max-") && digits.parse::<u64>().is_ok_and(|n| n > 0) {
            continue;
        }
        if option.starts_with("max-") {
            return Err(complain(400, format!("it would fail to start: invalid {option}: {value}")));
        }
    }
    Ok(())
}

fn tmpfs(mounts: Option<&Value>) -> Result<(), Reply> {
    for (path, options) in mounts.and_then(Value::as_object).into_iter().flatten() {
        if !path.starts_with('/') {
            return Err(refuse(400, format!("invalid mount path: '{path}' mount path must be absolute")));
        }
        if path == "/" {
            return Err(refuse(400, "invalid specification: destination can't be '/'"));
        }
        let options = options.as_str().unwrap_or_default();
        let known =
            |o: &str| o == "exec" || ["size=", "mode=", "uid=", "gid="].iter().any(|k| o.starts_with(k));
        if let Some(unknown) = options.split(',').find(|o| !o.is_empty() && !known(o)) {
            return Err(complain(400, format!("it would fail to start: invalid tmpfs option [{unknown:?}]")));
        }
    }
    Ok(())
}

fn ulimits(limits: Option<&Value>) -> Result<(), Reply> {
    for limit in limits.and_then(Value::as_array).into_iter().flatten() {
        let name = limit.get("Name").and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| limit.get(key).and_then(Value::as_i64).unwrap_or(0);
        let (soft, hard) = (number("Soft"), number("Hard"));
        if !ULIMITS.contains(&name) || (hard != -1 && soft > hard) || (name == "nofile" && hard == -1) {
            return Err(complain(
                400,
                format!("it would fail to start: wrong rlimit value: {name} {soft}:{hard}"),
            ));
        }
    }
    Ok(())
}

fn texts(host: &Value, key: &str) -> Vec<String> {
    let list = host.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
