//! An Engine in a case's hands: each call is made and its answer written down.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use lab::http::{Request, Response, over_unix};
use lab::names::REPOSITORY_URL;
use lab::{registry_authorization, wait_until};
use serde_json::{Value, json};

use crate::answer;
use crate::host::Host;
use crate::stock;
use crate::words::Words;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is shown to the registry.
#[derive(Clone, Copy)]
pub(crate) enum Login {
    Good,
    Wrong,
    None,
}

/// An Engine, and what it has said so far.
pub(crate) struct Engine<'h> {
    host: &'h mut dyn Host,
    words: Words,
    told: String,
    /// How often each container was started.
    starts: BTreeMap<String, usize>,
}

impl<'h> Engine<'h> {
    /// An Engine on which nothing was done yet, with the images pulled that every case needs.
    pub(crate) fn on(host: &'h mut dyn Host) -> Result<Self> {
        let mut words = Words::of(host.machine());
        for stock in stock::all() {
            words.call(&host.digest(stock.tag), &format!("<digest of {}>", stock.tag));
        }
        words.call(&host.folder().0.display().to_string(), "<folder>");
        let engine = Self { host, words, told: String::new(), starts: BTreeMap::new() };
        for stock in stock::all().into_iter().filter(|stock| stock.here) {
            let known = engine.ask("GET", &format!("/images/{}/json", engine.image(stock.tag)), None)?;
            if known.status != 200 {
                let path = format!(
                    "/images/create?fromImage={REPOSITORY_URL}&tag={}",
                    engine.host.digest(stock.tag)
                );
                let pulled =
                    engine.send("POST", &path, &[("X-Registry-Auth", &registry_authorization())], None)?;
                ensure!(pulled.status == 200 && !pulled.text().contains("errorDetail"), "{}", pulled.text());
            }
        }
        Ok(engine)
    }

    /// All that was asked and answered.
    pub(crate) fn told(self) -> String {
        self.told
    }

    /// Removes every container, network and volume, and every image that not every case needs.
    pub(crate) fn tidy(host: &'h mut dyn Host) -> Result<()> {
        let engine = Self { host, words: Words::default(), told: String::new(), starts: BTreeMap::new() };
        for one in
            engine.ask("GET", "/containers/json?all=true", None)?.json()?.as_array().into_iter().flatten()
        {
            let path = format!("/containers/{}?force=true&v=true", one["Id"].as_str().unwrap_or_default());
            let gone = engine.ask("DELETE", &path, None)?;
            ensure!([204, 404].contains(&gone.status), "{path}: {}", gone.text());
        }
        for (kind, list) in [("networks", ""), ("volumes", "/Volumes")] {
            let there = engine.ask("GET", &format!("/{kind}"), None)?.json()?;
            for one in there.pointer(list).and_then(Value::as_array).into_iter().flatten() {
                let name = one["Name"].as_str().unwrap_or_default();
                if kind == "volumes" || !["bridge", "host", "none"].contains(&name) {
                    let gone = engine.ask("DELETE", &format!("/{kind}/{name}"), None)?;
                    ensure!(gone.status == 204, "{name}: {}", gone.text());
                }
            }
        }
        for stock in stock::all().into_iter().filter(|stock| !stock.here) {
            for name in [engine.image(stock.tag), format!("{REPOSITORY_URL}:{}", stock.tag)] {
                engine.ask("DELETE", &format!("/images/{name}?force=true"), None)?;
            }
        }
        Ok(())
    }

    /// The image of this tag, by its digest.
    pub(crate) fn image(&self, tag: &str) -> String {
        format!("{REPOSITORY_URL}@{}", self.host.digest(tag))
    }

    /// The digest of this tag.
    pub(crate) fn digest(&self, tag: &str) -> String {
        self.host.digest(tag)
    }

    /// The host, for what is done to it.
    pub(crate) fn host(&mut self) -> &mut dyn Host {
        self.host
    }

    /// Writes down something that happened without a call.
    pub(crate) fn note(&mut self, what: &str) {
        let _ = writeln!(self.told, "\n-- {}", self.words.put(what));
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        self.send(method, path, &[], body)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut headers = more.to_vec();
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        let request = Request { method, host: "docker", path, headers: &headers, body: body.as_bytes() };
        over_unix(&self.host.socket()?, &request).with_context(|| format!("{method} {path}"))
    }

    /// Writes down a call and its answer.
    fn tell(&mut self, method: &str, path: &str, lines: Vec<String>) {
        let call = self.words.put(&answer::decoded(path));
        let _ = writeln!(self.told, "\n{method} {call}");
        for line in lines {
            let _ = writeln!(self.told, "    {}", self.words.put(&line));
        }
    }

    fn call(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response> {
        let response = self.send(method, path, more, body)?;
        let mut lines = answer::of(method, path, &response);
        if let Some(body) = body {
            lines.insert(0, format!("with {}", answer::text(body)));
        }
        self.tell(method, path, lines);
        Ok(response)
    }

    /// A GET.
    pub(crate) fn get(&mut self, path: &str) -> Result<()> {
        self.call("GET", path, &[], None).map(drop)
    }

    /// A POST without a body.
    pub(crate) fn post(&mut self, path: &str) -> Result<()> {
        let status = self.call("POST", path, &[], None)?.status;
        if let Some(name) = path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/start"))
            && status == 204
        {
            *self.starts.entry(name.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    /// A POST with a body.
    pub(crate) fn post_body(&mut self, path: &str, body: &Value) -> Result<()> {
        self.call("POST", path, &[], Some(body)).map(drop)
    }

    /// A DELETE.
    pub(crate) fn delete(&mut self, path: &str) -> Result<()> {
        self.call("DELETE", path, &[], None).map(drop)
    }

    /// A call that goes to the registry.
    pub(crate) fn with_login(&mut self, method: &str, path: &str, login: Login) -> Result<()> {
        let good = registry_authorization();
        // The same with another password.
        let wrong = "eyJ1c2VybmFtZSI6IkFXUyIsInBhc3N3b3JkIjoid3JvbmcifQ==";
        let (header, said) = match login {
            Login::Good => (Some(good.as_str()), "with the right login"),
            Login::Wrong => (Some(wrong), "with a wrong login"),
            Login::None => (None, "without a login"),
        };
        self.note(said);
        let headers: Vec<_> = header.into_iter().map(|header| ("X-Registry-Auth", header)).collect();
        self.call(method, path, &headers, None).map(drop)
    }

    /// Creates a container of an image; its id is called by its name from now on.
    pub(crate) fn create(&mut self, name: &str, tag: &str, body: Value) -> Result<()> {
        let mut whole = json!({ "Image": self.image(tag) });
        for (key, value) in body.as_object().into_iter().flatten() {
            whole[key] = value.clone();
        }
        let path = format!("/containers/create?name={name}");
        let response = self.ask("POST", &path, Some(&whole))?;
        if let Some(id) = response.json().unwrap_or_default()["Id"].as_str() {
            self.words.call(&id[..12], &format!("<short id of {name}>"));
            self.words.call(id, &format!("<id of {name}>"));
        }
        let mut lines = answer::of("POST", &path, &response);
        if let Some(body) = body.as_object().filter(|body| !body.is_empty()) {
            lines.insert(0, format!("with {}", answer::text(&json!(body))));
        }
        lines.insert(0, format!("of {tag}"));
        self.tell("POST", &path, lines);
        Ok(())
    }

    /// Creates and starts one with a restart policy and perhaps a port of the host.
    pub(crate) fn run(&mut self, name: &str, tag: &str, policy: &str, port: Option<u16>) -> Result<()> {
        self.create(name, tag, with(policy, port))?;
        self.post(&format!("/containers/{name}/start"))
    }

    /// How a container is.
    pub(crate) fn state(&mut self, name: &str) -> Result<()> {
        self.get(&format!("/containers/{name}/json"))
    }

    /// A container's whole inspect, for a case that has to look itself.
    pub(crate) fn peek(&self, name: &str) -> Result<Value> {
        self.ask("GET", &format!("/containers/{name}/json"), None)?.json()
    }

    /// Gives something a name that is the same on every Engine.
    pub(crate) fn name(&mut self, what: &str, name: &str) {
        self.words.call(what, name);
    }

    /// What a container is made of.
    pub(crate) fn made_of(&mut self, name: &str) -> Result<()> {
        let path = format!("/containers/{name}/json");
        let response = self.ask("GET", &path, None)?;
        let lines = answer::made_of(&response.json()?);
        self.tell("GET", &path, lines);
        Ok(())
    }

    /// What else it is made of, where a case is about that.
    pub(crate) fn further(&mut self, name: &str) -> Result<()> {
        let path = format!("/containers/{name}/json");
        let lines = answer::further(&self.ask("GET", &path, None)?.json()?);
        self.tell("GET", &path, lines);
        Ok(())
    }

    /// The id of an image that is here.
    pub(crate) fn image_id(&self, tag: &str) -> Result<String> {
        let image = self.ask("GET", &format!("/images/{}/json", self.image(tag)), None)?.json()?;
        Ok(image["Id"].as_str().context("an image has an id")?.to_owned())
    }

    /// Waits until something holds of a container's inspect.
    pub(crate) fn until(&mut self, name: &str, pointer: &str, wanted: Value) -> Result<()> {
        let path = format!("/containers/{name}/json");
        let what = format!("{name}: {pointer} is {wanted}");
        self.note(&format!("until {what}"));
        let mut last = Value::Null;
        let waited = wait_until(&what, PATIENCE, || {
            last = self.ask("GET", &path, None)?.json()?;
            Ok(last.pointer(pointer) == Some(&wanted))
        });
        waited.with_context(|| format!("{}", last["State"]))
    }

    /// Waits until a container has written this many lines.
    pub(crate) fn until_lines(&mut self, name: &str, lines: usize) -> Result<()> {
        let path = format!("/containers/{name}/logs?stdout=true&stderr=true");
        wait_until("the lines", PATIENCE, || {
            let body = self.ask("GET", &path, None)?.body;
            Ok(body.split(|byte| *byte == b'\n').count() > lines)
        })
    }

    /// Stops a container of the application, which hears TERM only once it has come so far as to write its second line.
    pub(crate) fn stop(&mut self, name: &str) -> Result<()> {
        self.until_lines(name, 2 * self.starts.get(name).copied().unwrap_or_default())?;
        self.post(&format!("/containers/{name}/stop?t=20"))
    }

    /// Waits until the list has a container as one that has ended: with 26 a moment after the stop has been answered.
    pub(crate) fn until_listed_as_ended(&self, name: &str) -> Result<()> {
        let path =
            format!("/containers/json?all=true&filters=%7B%22name%22%3A%5B%22%5E%2F{name}%24%22%5D%7D");
        wait_until("it is listed as ended", PATIENCE, || {
            Ok(self.ask("GET", &path, None)?.json()?[0]["State"] == json!("exited"))
        })
    }

    /// Runs a command in a container, as clients do that read what it prints.
    pub(crate) fn exec(&mut self, name: &str, command: &[&str]) -> Result<()> {
        let body = json!({ "Cmd": command, "AttachStdout": true, "AttachStderr": true });
        let path = format!("/containers/{name}/exec");
        let response = self.call("POST", &path, &[], Some(&body))?;
        let Some(id) = response.json()?["Id"].as_str().map(str::to_owned) else { return Ok(()) };
        self.words.call(&id, "<exec>");
        self.get(&format!("/exec/{id}/json"))?;
        let upgrade = [("Connection", "Upgrade"), ("Upgrade", "tcp")];
        self.call(
            "POST",
            &format!("/exec/{id}/start"),
            &upgrade,
            Some(&json!({ "Detach": false, "Tty": false })),
        )?;
        // The stream's end comes a moment before the Engine has noted the exit code.
        let path = format!("/exec/{id}/json");
        wait_until("the command has ended", PATIENCE, || {
            Ok(self.ask("GET", &path, None)?.json()?["Running"] == json!(false))
        })?;
        self.get(&path)
    }

    /// The signals that a container got since its last start, by their numbers.
    pub(crate) fn signals(&mut self, name: &str) -> Result<()> {
        let container = self.peek(name)?;
        let since: Timestamp = container["State"]["StartedAt"].as_str().unwrap_or_default().parse()?;
        let [since, now] = [since, Timestamp::now()]
            .map(|time| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()));
        let filters =
            format!("%7B%22container%22%3A%5B{}%5D%2C%22event%22%3A%5B%22kill%22%5D%7D", container["Id"]);
        let filters = filters.replace('"', "%22");
        let answer =
            self.ask("GET", &format!("/events?since={since}&until={now}&filters={filters}"), None)?;
        ensure!(answer.status == 200, "{}", answer.text());
        let events = serde_json::Deserializer::from_slice(&answer.body).into_iter::<Value>();
        let signals: Vec<String> = events
            .map(|event| Ok(event?["Actor"]["Attributes"]["signal"].as_str().unwrap_or_default().to_owned()))
            .collect::<Result<_>>()?;
        self.tell("GET", "/events of kills", vec![format!("{name} since its start: {}", signals.join(" "))]);
        Ok(())
    }

    /// Asks for a stop, and is gone as soon as it has begun.
    pub(crate) fn stop_and_hang_up(&mut self, name: &str, seconds: u64) -> Result<()> {
        let path = format!("/containers/{name}/stop?t={seconds}");
        let since = SystemTime::now();
        let mut stream = UnixStream::connect(self.host.socket()?)?;
        write!(stream, "POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n")?;
        self.host.wait_for_stop(name, since)?;
        self.tell("POST", &path, vec!["nobody waits for the answer".to_owned()]);
        Ok(())
    }
}

/// The path of a list with a filter.
pub(crate) fn filtered(path: &str, key: &str, value: &str) -> String {
    format!("{path}?filters=%7B%22{key}%22%3A%5B%22{}%22%5D%7D", value.replace('=', "%3D"))
}

/// The body for a restart policy and perhaps a port of the host.
pub(crate) fn with(policy: &str, port: Option<u16>) -> Value {
    let bindings = match port {
        Some(port) => json!({ "8000/tcp": [{ "HostIp": "", "HostPort": port.to_string() }] }),
        None => json!({}),
    };
    json!({ "HostConfig": { "RestartPolicy": { "Name": policy }, "PortBindings": bindings } })
}
