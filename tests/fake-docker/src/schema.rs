//! Which body fields exist, and of which type they are.

use serde_json::{Map, Value};

use crate::answer::{Reply, complain, refuse};

/// The type of a field.
pub(crate) enum Kind {
    Text,
    Flag,
    Number,
    Texts,
    /// `map[string]string`.
    TextMap,
    /// `map[string]struct{}`.
    Set,
    Object(&'static [Field]),
    /// `[]struct`.
    Objects(&'static [Field]),
    /// `map[string]struct`.
    ObjectMap(&'static [Field]),
    /// `map[string][]struct`.
    ObjectsMap(&'static [Field]),
    /// Only null or an empty object, list, string or zero: the fake does not know what it would do.
    Nothing,
}

pub(crate) type Field = (&'static str, Kind);

use Kind::{Flag, Nothing, Number, Object, ObjectMap, Objects, ObjectsMap, Set, Text, TextMap, Texts};

const HEALTHCHECK: &[Field] = &[
    ("Test", Texts),
    ("Interval", Number),
    ("Timeout", Number),
    ("StartPeriod", Number),
    ("Retries", Number),
];
const RESTART_POLICY: &[Field] = &[("Name", Text), ("MaximumRetryCount", Number)];
const BINDING: &[Field] = &[("HostIp", Text), ("HostPort", Text)];
const LOG_CONFIG: &[Field] = &[("Type", Text), ("Config", TextMap)];
const ULIMIT: &[Field] = &[("Name", Text), ("Soft", Number), ("Hard", Number)];
const BIND_OPTIONS: &[Field] = &[("Propagation", Text), ("NonRecursive", Flag)];
const TMPFS_OPTIONS: &[Field] = &[("SizeBytes", Number), ("Mode", Number)];
const VOLUME_OPTIONS: &[Field] = &[("Labels", TextMap), ("NoCopy", Flag)];
const DEVICE: &[Field] = &[("PathOnHost", Text), ("PathInContainer", Text), ("CgroupPermissions", Text)];
const MOUNT: &[Field] = &[
    ("Target", Text),
    ("Source", Text),
    ("Type", Text),
    ("ReadOnly", Flag),
    ("Consistency", Text),
    ("BindOptions", Object(BIND_OPTIONS)),
    ("TmpfsOptions", Object(TMPFS_OPTIONS)),
    ("VolumeOptions", Object(VOLUME_OPTIONS)),
];
const HOST_CONFIG: &[Field] = &[
    ("AutoRemove", Nothing),
    ("Binds", Texts),
    ("CapAdd", Texts),
    ("CapDrop", Texts),
    ("CgroupParent", Text),
    ("CpuPeriod", Number),
    ("CpuQuota", Number),
    ("CpuShares", Number),
    ("Devices", Objects(DEVICE)),
    ("Dns", Texts),
    ("DnsOptions", Texts),
    ("DnsSearch", Texts),
    ("ExtraHosts", Texts),
    ("GroupAdd", Texts),
    ("Init", Flag),
    ("IpcMode", Text),
    ("LogConfig", Object(LOG_CONFIG)),
    ("MaskedPaths", Texts),
    ("Memory", Number),
    ("MemoryReservation", Number),
    ("MemorySwap", Number),
    ("Mounts", Objects(MOUNT)),
    ("NanoCpus", Number),
    ("NetworkMode", Text),
    ("OomScoreAdj", Number),
    ("PidsLimit", Number),
    ("PortBindings", ObjectsMap(BINDING)),
    ("Privileged", Flag),
    ("PublishAllPorts", Nothing),
    ("ReadonlyPaths", Texts),
    ("ReadonlyRootfs", Flag),
    ("RestartPolicy", Object(RESTART_POLICY)),
    ("SecurityOpt", Texts),
    ("ShmSize", Number),
    ("Sysctls", TextMap),
    ("Tmpfs", TextMap),
    ("Ulimits", Objects(ULIMIT)),
    ("VolumesFrom", Nothing),
];

const ENDPOINT: &[Field] = &[("Aliases", Texts)];
const NETWORKING: &[Field] = &[("EndpointsConfig", ObjectMap(ENDPOINT))];

/// The body of `POST /networks/create`.
pub(crate) const NETWORK: &[Field] = &[("Name", Text), ("Driver", Text), ("Labels", TextMap)];

/// The body of `POST /volumes/create`.
pub(crate) const VOLUME: &[Field] = &[("Name", Text), ("Driver", Text), ("Labels", TextMap)];

/// The body of `POST /networks/…/connect`.
pub(crate) const CONNECT: &[Field] = &[("Container", Text), ("EndpointConfig", Object(ENDPOINT))];

/// The body of `POST /networks/{id}/disconnect`.
pub(crate) const DISCONNECT: &[Field] = &[("Container", Text), ("Force", Flag)];

/// The body of `POST /containers/create`.
pub(crate) const CREATE: &[Field] = &[
    ("AttachStderr", Flag),
    ("AttachStdin", Flag),
    ("AttachStdout", Flag),
    ("Cmd", Texts),
    ("Domainname", Text),
    ("Entrypoint", Texts),
    ("Env", Texts),
    ("ExposedPorts", Set),
    ("Healthcheck", Object(HEALTHCHECK)),
    ("HostConfig", Object(HOST_CONFIG)),
    ("Hostname", Text),
    ("Image", Text),
    ("Labels", TextMap),
    ("NetworkingConfig", Object(NETWORKING)),
    ("OpenStdin", Flag),
    ("StdinOnce", Flag),
    ("StopSignal", Text),
    ("StopTimeout", Number),
    ("Tty", Nothing),
    ("User", Text),
    ("Volumes", Nothing),
    ("WorkingDir", Text),
];

/// The body of `POST /containers/…/update`.
pub(crate) const UPDATE: &[Field] = &[("RestartPolicy", Object(RESTART_POLICY))];

/// The body of `POST /containers/…/exec`.
pub(crate) const EXEC: &[Field] = &[
    ("AttachStderr", Flag),
    ("AttachStdin", Nothing),
    ("AttachStdout", Flag),
    ("Cmd", Texts),
    ("Env", Texts),
    ("Privileged", Nothing),
    ("Tty", Nothing),
    ("User", Text),
    ("WorkingDir", Text),
];

/// The body of `POST /exec/…/start`. `OutputCapacity` is bollard's own and means nothing to the Engine.
pub(crate) const EXEC_START: &[Field] = &[("Detach", Flag), ("Tty", Nothing), ("OutputCapacity", Number)];

/// Checks a body against its fields, with the Engine's text for a wrong type.
pub(crate) fn check<'a>(
    value: &'a Value,
    fields: &[Field],
    path: &str,
) -> Result<&'a Map<String, Value>, Reply> {
    let Some(object) = value.as_object() else {
        return Err(wrong(value, path, "an object"));
    };
    for (key, inner) in object {
        let Some((_, kind)) = fields.iter().find(|(name, _)| name == key) else {
            return Err(complain(400, format!("unknown field {path}.{key}")));
        };
        if !inner.is_null() {
            field(inner, kind, &format!("{path}.{key}"))?;
        }
    }
    Ok(object)
}

fn field(value: &Value, kind: &Kind, path: &str) -> Result<(), Reply> {
    match kind {
        Text if !value.is_string() => Err(wrong(value, path, "string")),
        Flag if !value.is_boolean() => Err(wrong(value, path, "bool")),
        Number if !value.is_i64() => Err(wrong(value, path, "int64")),
        Text | Flag | Number => Ok(()),
        Nothing if is_nothing(value) => Ok(()),
        Nothing => Err(complain(400, format!("field {path} is not supported"))),
        Texts => {
            let list = value.as_array().ok_or_else(|| wrong(value, path, "[]string"))?;
            list.iter().try_for_each(|one| field(one, &Text, path))
        }
        TextMap => {
            let map = value.as_object().ok_or_else(|| wrong(value, path, "map[string]string"))?;
            map.values().try_for_each(|one| field(one, &Text, path))
        }
        Set => {
            let map = value.as_object().ok_or_else(|| wrong(value, path, "map[string]struct {}"))?;
            map.values().try_for_each(|one| field(one, &Nothing, path))
        }
        Object(fields) => check(value, fields, path).map(drop),
        Objects(fields) => {
            let list = value.as_array().ok_or_else(|| wrong(value, path, "a list"))?;
            list.iter().try_for_each(|one| check(one, fields, path).map(drop))
        }
        ObjectMap(fields) => {
            let map = value.as_object().ok_or_else(|| wrong(value, path, "a map"))?;
            map.values().filter(|one| !one.is_null()).try_for_each(|one| check(one, fields, path).map(drop))
        }
        ObjectsMap(fields) => {
            let map = value.as_object().ok_or_else(|| wrong(value, path, "a map"))?;
            map.values().filter(|one| !one.is_null()).try_for_each(|one| field(one, &Objects(fields), path))
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(is_nothing),
        Value::Object(map) => map.values().all(is_nothing),
    }
}

fn wrong(value: &Value, path: &str, wanted: &str) -> Reply {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    refuse(500, format!("json: cannot unmarshal {got} into Go struct field {path} of type {wanted}"))
}
