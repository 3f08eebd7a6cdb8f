//! From a method and a path to a handler.

use crate::{
    answer::{Answer, Reply, complain, refuse},
    containers, create, events, exec, image_removal, images, inspect, listing, networks,
    query::decode,
    request::Request,
    system, volumes,
    world::World,
};

/// Answers one call.
pub(crate) fn route(world: &mut World, method: &str, path: &str, request: &Request) -> Answer {
    let decoded: Vec<String> = path.split('/').skip(1).map(decode).collect();
    let all: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let segments = match all.split_first() {
        Some((first, rest)) if is_version(first) => {
            check_version(world, first)?;
            rest
        }
        _ => &all,
    };
    match (method, segments) {
        ("GET" | "HEAD", ["_ping"]) => system::ping(request),
        ("GET", ["version"]) => system::version(world, request),
        ("GET", ["networks"]) => networks::list(world, request),
        ("POST", ["networks", "create"]) => networks::create(world, request),
        ("GET", ["networks", name]) => networks::inspect(world, request, name),
        ("POST", ["networks", name, "connect"]) => networks::connect(world, request, name),
        ("POST", ["networks", name, "disconnect"]) => networks::disconnect(world, request, name),
        ("DELETE", ["networks", name]) => networks::remove(world, request, name),
        ("GET", ["volumes"]) => volumes::list(world, request),
        ("POST", ["volumes", "create"]) => volumes::create(world, request),
        ("DELETE", ["volumes", name]) => volumes::remove(world, request, name),
        ("GET", ["events"]) => events::list(world, request),
        ("GET", ["info"]) => system::info(world, request),
        ("POST", ["images", "create"]) => images::pull(world, request),
        ("GET", ["images", "json"]) => images::list(world, request),
        ("GET", ["images", name @ .., "json"]) => images::inspect(world, request, &name.join("/")),
        ("POST", ["images", name @ .., "tag"]) => images::tag(world, request, &name.join("/")),
        ("DELETE", ["images", name @ ..]) => image_removal::remove(world, request, &name.join("/")),
        ("GET", ["distribution", name @ .., "json"]) => images::distribution(world, request, &name.join("/")),
        ("GET", ["containers", "json"]) => listing::list(world, request),
        ("POST", ["containers", "create"]) => create::create(world, request),
        ("GET", ["containers", name, "json"]) => inspect::inspect(world, request, name),
        ("GET", ["containers", name, "logs"]) => containers::logs(world, request, name),
        ("POST", ["containers", name, "start"]) => containers::start(world, request, name),
        ("POST", ["containers", name, "stop"]) => containers::stop(world, request, name),
        ("POST", ["containers", name, "kill"]) => containers::kill(world, request, name),
        ("POST", ["containers", name, "wait"]) => containers::wait(world, request, name),
        ("POST", ["containers", name, "rename"]) => containers::rename(world, request, name),
        ("POST", ["containers", name, "update"]) => containers::update(world, request, name),
        ("POST", ["containers", name, "exec"]) => exec::create(world, request, name),
        ("DELETE", ["containers", name]) => containers::remove(world, request, name),
        ("POST", ["exec", id, "start"]) => exec::start(world, request, id),
        ("GET", ["exec", id, "json"]) => exec::inspect(world, request, id),
        _ => Err(complain(501, format!("not implemented: {method} {path}"))),
    }
}

/// `v1.41`, `v2`.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

fn check_version(world: &World, segment: &str) -> Result<(), Reply> {
    let text = segment.trim_start_matches('v');
    let wanted =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let Some(wanted): Option<(u32, u32)> = wanted else {
        return Err(complain(501, format!("not a version: {segment}")));
    };
    let (max, min) = (world.max_version, world.min_version);
    if wanted > max {
        return Err(refuse(
            400,
            format!("client version {text} is too new. Maximum supported API version is {}.{}", max.0, max.1),
        ));
    }
    if wanted < min {
        return Err(refuse(
            400,
            format!(
                "client version {text} is too old. Minimum supported API version is {}.{}, please upgrade your \
                 client to a newer version",
                min.0, min.1
            ),
        ));
    }
    Ok(())
}
