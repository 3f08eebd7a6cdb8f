//! The calls on one container.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Body, Reply, Until, Wait, complain, refuse},
    container::Status,
    create::{check_name, invalid_name, name_in_use, policy},
    image::Stream,
    lifecycle::known_signal,
    request::Request,
    schema,
    world::World,
};

pub(crate) fn start(world: &mut World, request: &Request, name: &str) -> Answer {
    request.only("detachKeys", &[""])?;
    request.no_more_parameters()?;
    request.no_body()?;
    let at = world.find(name)?;
    if world.containers[at].status.counts_as_running() {
        return Ok(Reply::empty(304));
    }
    world.start(at)?;
    Ok(Reply::empty(204))
}

pub(crate) fn stop(world: &mut World, request: &Request, name: &str) -> Answer {
    let seconds = request.number("t")?;
    request.only("signal", &[""])?;
    request.no_more_parameters()?;
    request.no_body()?;
    let at = world.find(name)?;
    if !world.containers[at].status.counts_as_running() {
        return Ok(Reply::empty(304));
    }
    Ok(Reply::new(204, world.stop(at, seconds).map_or(Body::Empty, Body::Ended)))
}

pub(crate) fn kill(world: &mut World, request: &Request, name: &str) -> Answer {
    let wanted = request.take("signal").filter(|signal| !signal.is_empty());
    let wanted = wanted.unwrap_or_else(|| "KILL".to_owned());
    request.no_more_parameters()?;
    request.no_body()?;
    let Some((_, signal)) = known_signal(&wanted) else {
        return Err(refuse(400, format!("Invalid signal: {wanted}")));
    };
    let prefix = format!("Cannot kill container: {name}: ");
    let at = world.find(name).map_err(|reply| prefixed(&prefix, reply))?;
    let one = &world.containers[at];
    if !one.status.counts_as_running() {
        return Err(refuse(409, format!("{prefix}Container {} is not running", one.id)));
    }
    world.signalled(at, signal);
    let one = &mut world.containers[at];
    // Any signal at all counts as a stop by hand. Only the stop signal keeps the policy from restarting it now.
    one.stopped_by_hand = true;
    let of_stop = known_signal(one.stop_signal()).map(|(_, name)| name);
    let deliberate = signal == "KILL" || one.stop_signal().is_empty() || of_stop == Some(signal);
    let code =
        if one.status == Status::Restarting { Some(one.exit_code) } else { one.code_of_signal(signal) };
    match code {
        Some(code) if deliberate => world.end(at, code),
        Some(code) => world.ends_by_itself(at, code),
        None => {}
    }
    Ok(Reply::empty(204))
}

pub(crate) fn rename(world: &mut World, request: &Request, name: &str) -> Answer {
    let new = request.take("name").unwrap_or_default();
    request.no_more_parameters()?;
    request.no_body()?;
    let at = world.find(name)?;
    let new = new.strip_prefix('/').unwrap_or(&new);
    if new.is_empty() {
        return Err(refuse(400, "Neither old nor new names may be empty"));
    }
    if world.containers[at].name == new {
        return Err(refuse(400, "Renaming a container with the same name as its current name"));
    }
    let allocating = "Error when allocating new name: ";
    check_name(new).map_err(|()| refuse(400, format!("{allocating}{}", invalid_name(&format!("/{new}")))))?;
    if let Some(owner) = world.containers.iter().find(|c| c.name == new) {
        return Err(refuse(409, format!("{allocating}{}", name_in_use(new, &owner.id))));
    }
    new.clone_into(&mut world.containers[at].name);
    Ok(Reply::empty(204))
}

pub(crate) fn update(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::UPDATE, "UpdateConfig")?;
    let wanted = fields.get("RestartPolicy").filter(|value| !value.is_null());
    let policy = policy(wanted)?;
    let one = world.container(name)?;
    // An empty name leaves the policy as it is.
    if !policy.name.is_empty() {
        one.host_config.insert("RestartPolicy".to_owned(), policy.json());
        one.policy = policy;
    }
    Ok(Reply::json(json!({ "Warnings": Value::Null })))
}

pub(crate) fn remove(world: &mut World, request: &Request, name: &str) -> Answer {
    request.flag("v")?;
    request.only("link", &["", "0", "false"])?;
    let force = request.flag("force")?;
    request.no_more_parameters()?;
    request.no_body()?;
    let at = world.find(name)?;
    let one = &world.containers[at];
    if one.status.counts_as_running() {
        if !force {
            return Err(refuse(
                409,
                format!(
                    "You cannot remove a {} container {}. \
                     Stop the container before attempting removal or force remove",
                    one.status.word(),
                    one.id
                ),
            ));
        }
        world.end(at, 137);
    }
    let one = world.containers.remove(at);
    world.execs.retain(|exec| exec.container != one.id);
    world.removed.insert(one.id, one.exit_code);
    world.changed();
    Ok(Reply::empty(204))
}

pub(crate) fn wait(world: &mut World, request: &Request, name: &str) -> Answer {
    let condition = request.take("condition").unwrap_or_default();
    request.no_more_parameters()?;
    request.no_body()?;
    let one = world.container(name)?;
    let until = match condition.as_str() {
        "" | "not-running" => Until::NotRunning,
        "next-exit" => Until::NextExit(one.exits),
        "removed" => Until::Removed,
        other => return Err(complain(400, format!("unknown wait condition {other}"))),
    };
    Ok(Reply::new(200, Body::Wait(Wait { container: one.id.clone(), until })))
}

impl World {
    /// The exit code that answers a call of `wait`, once there is one.
    pub(crate) fn waited_for(&self, wait: &Wait) -> Option<i64> {
        let Some(one) = self.containers.iter().find(|c| c.id == wait.container) else {
            return Some(self.removed.get(&wait.container).copied().unwrap_or(0));
        };
        let done = match wait.until {
            Until::NotRunning => !one.status.counts_as_running(),
            Until::NextExit(before) => one.exits > before,
            Until::Removed => false,
        };
        done.then_some(one.exit_code)
    }
}

pub(crate) fn logs(world: &mut World, request: &Request, name: &str) -> Answer {
    let (stdout, stderr) = (request.flag("stdout")?, request.flag("stderr")?);
    for parameter in ["follow", "timestamps", "since", "until", "details"] {
        request.only(parameter, &["", "0", "false"])?;
    }
    let tail = request.take("tail").unwrap_or_default();
    request.no_more_parameters()?;
    if !stdout && !stderr {
        return Err(refuse(400, "Bad parameters: you must choose at least one stream"));
    }
    let one = world.container(name)?;
    let wanted: Vec<_> =
        one.log.iter().filter(|line| if line.stream == Stream::Stdout { stdout } else { stderr }).collect();
    // The Engine takes whatever is no number for "all".
    let skipped = tail.parse::<usize>().map_or(0, |n| wanted.len().saturating_sub(n));
    let bytes = wanted[skipped..].iter().flat_map(|line| {
        let text = [line.bytes.as_slice(), b"\n"].concat();
        frame(line.stream, &text)
    });
    Ok(Reply::new(200, Body::Bytes("application/vnd.docker.raw-stream", bytes.collect())))
}

/// One frame of the Engine's multiplexed streams.
pub(crate) fn frame(stream: Stream, payload: &[u8]) -> Vec<u8> {
    let kind = if stream == Stream::Stdout { 1 } else { 2 };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind, 0, 0, 0], length.as_slice(), payload].concat()
}

fn prefixed(prefix: &str, mut reply: Reply) -> Reply {
    if let Body::Json(body) = &mut reply.body
        && let Some(Value::String(message)) = body.get_mut("message")
    {
        message.insert_str(0, prefix);
    }
    reply
}
