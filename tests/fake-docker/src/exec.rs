//! Commands run inside a container.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, Body, Reply, complain, refuse},
    container::Status,
    containers::frame,
    image::{Behaviour, ExecOutcome, Stream},
    request::Request,
    schema,
    world::{World, hex64},
};

/// One exec instance.
#[derive(Clone)]
pub(crate) struct Exec {
    id: String,
    pub(crate) container: String,
    cmd: Vec<String>,
    stdout: bool,
    stderr: bool,
    outcome: ExecOutcome,
    /// The exit code, once it has run.
    ended: Option<i64>,
}

pub(crate) fn create(world: &mut World, request: &Request, name: &str) -> Answer {
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::EXEC, "ExecConfig")?;
    let list = fields.get("Cmd").and_then(Value::as_array);
    let cmd: Vec<String> = list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if cmd.is_empty() {
        return Err(refuse(400, "No exec command specified"));
    }
    let one = world.container(name)?;
    match one.status {
        Status::Running => {}
        Status::Restarting => {
            return Err(refuse(
                409,
                format!("Container {} is restarting, wait until the container is running", one.id),
            ));
        }
        _ => return Err(refuse(409, format!("Container {} is not running", one.id))),
    }
    let known = one.execs.iter().find(|(argv, _)| *argv == cmd).map(|(_, outcome)| outcome.clone());
    let well = matches!(
        one.behaviour,
        Behaviour::Healthy
            | Behaviour::IgnoresTerm
            | Behaviour::HealthyAfterProbes(_)
            | Behaviour::ExitsAfterProbes(..)
    );
    let outcome = known.unwrap_or_else(|| ExecOutcome { code: i64::from(!well), ..ExecOutcome::default() });
    let container = one.id.clone();
    let id = hex64((world.next(), "exec"));
    let flag = |key: &str| fields.get(key).and_then(Value::as_bool) == Some(true);
    let (stdout, stderr) = (flag("AttachStdout"), flag("AttachStderr"));
    world.execs.push(Exec { id: id.clone(), container, cmd, stdout, stderr, outcome, ended: None });
    Ok(Reply::new(201, Body::Json(json!({ "Id": id }))))
}

pub(crate) fn start(world: &mut World, request: &Request, id: &str) -> Answer {
    request.no_more_parameters()?;
    let body = request.json()?;
    let fields = schema::check(&body, schema::EXEC_START, "ExecStartCheck")?;
    let detach = fields.get("Detach").and_then(Value::as_bool) == Some(true);
    let at = world.exec(id)?;
    let exec = &world.execs[at];
    if exec.ended.is_some() {
        // The Engine says this inside a stream that it has opened with 200.
        return Err(complain(409, format!("Error: Exec command {id} has already run")));
    }
    let running = world.containers.iter().any(|c| c.id == exec.container && c.status == Status::Running);
    if !running {
        return Err(refuse(409, format!("Container {} is not running", exec.container)));
    }
    let exec = &mut world.execs[at];
    exec.ended = Some(exec.outcome.code);
    if detach {
        return Ok(Reply::empty(200));
    }
    let mut bytes = Vec::new();
    for (wanted, stream, text) in [
        (exec.stdout, Stream::Stdout, &exec.outcome.stdout),
        (exec.stderr, Stream::Stderr, &exec.outcome.stderr),
    ] {
        if wanted && !text.is_empty() {
            bytes.extend(frame(stream, text.as_bytes()));
        }
    }
    Ok(if request.upgrade {
        Reply::new(101, Body::Upgraded(bytes))
    } else {
        Reply::new(200, Body::Bytes("application/vnd.docker.raw-stream", bytes))
    })
}

pub(crate) fn inspect(world: &mut World, request: &Request, id: &str) -> Answer {
    request.no_more_parameters()?;
    let at = world.exec(id)?;
    let exec = &world.execs[at];
    Ok(Reply::json(json!({
        "ID": exec.id,
        "Running": false,
        "ExitCode": exec.ended,
        "ProcessConfig": {
            "tty": false,
            "entrypoint": exec.cmd[0],
            "arguments": exec.cmd[1..],
            "privileged": false,
        },
        "OpenStdin": false,
        "OpenStderr": exec.stderr,
        "OpenStdout": exec.stdout,
        "CanRemove": false,
        "ContainerID": exec.container,
        "DetachKeys": "",
        "Pid": if exec.ended.is_some() { 4242 } else { 0 },
    })))
}

impl World {
    fn exec(&self, id: &str) -> Result<usize, Reply> {
        let found = self.execs.iter().position(|exec| exec.id == id);
        found.ok_or_else(|| refuse(404, format!("No such exec instance: {id}")))
    }
}
