//! A small client of an instance's Docker Engine, from outside the instance.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::{Request, Response, over_unix};

/// The Docker Engine of an instance, in the life that the instance had when this was made.
#[derive(Debug, Clone)]
pub struct Docker {
    pub(crate) socket: PathBuf,
}

impl Docker {
    /// Any request; paths without a version mean the Engine's own. The answer may be an error.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        // Nothing is sent for null: the Engine would not read it, and reset the connection.
        let body = body.filter(|body| !body.is_null()).map(Value::to_string).unwrap_or_default();
        let json = [("Content-Type", "application/json")];
        let headers: &[_] = if body.is_empty() { &[] } else { &json };
        over_unix(&self.socket, &Request { method, host: "docker", path, headers, body: body.as_bytes() })
    }

    /// A GET whose answer must be good.
    pub fn get(&self, path: &str) -> Result<Value> {
        good(path, &self.request("GET", path, None)?)
    }

    /// A POST whose answer must be good (304, "it is so already", is).
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        good(path, &self.request("POST", path, Some(body))?)
    }

    /// A DELETE whose answer must be good.
    pub fn delete(&self, path: &str) -> Result<Value> {
        good(path, &self.request("DELETE", path, None)?)
    }

    /// All containers, also those that do not run.
    pub fn containers(&self) -> Result<Vec<Value>> {
        let Value::Array(containers) = self.get("/containers/json?all=true")? else { bail!("not a list") };
        Ok(containers)
    }

    /// All there is to know of a container, or nothing if there is no such container.
    pub fn inspect(&self, name: &str) -> Result<Option<Value>> {
        let answer = self.request("GET", &format!("/containers/{name}/json"), None)?;
        if answer.status == 404 { Ok(None) } else { good(name, &answer).map(Some) }
    }

    /// What a container wrote, both streams in their order.
    pub fn logs(&self, name: &str) -> Result<String> {
        let path = format!("/containers/{name}/logs?stdout=true&stderr=true");
        let answer = self.request("GET", &path, None)?;
        if answer.status != 200 {
            bail!("{path}: {} {}", answer.status, answer.text());
        }
        Ok(unframe(&answer.body))
    }

    /// The images' tags and digests.
    pub fn images(&self) -> Result<Vec<Value>> {
        let Value::Array(images) = self.get("/images/json")? else { bail!("not a list") };
        Ok(images)
    }

    /// Pulls an image by its reference; `authorization` is the value of `X-Registry-Auth`, see
    /// [`registry_authorization`](crate::registry::registry_authorization).
    pub fn pull(&self, image: &str, authorization: Option<&str>) -> Result<()> {
        self.transfer("pull", image, &format!("/images/create?fromImage={image}"), authorization)
    }

    /// Pushes an image by the name and the tag that it has here.
    pub fn push(&self, repository: &str, tag: &str, authorization: Option<&str>) -> Result<()> {
        self.transfer("push", repository, &format!("/images/{repository}/push?tag={tag}"), authorization)
    }

    fn transfer(&self, verb: &str, image: &str, path: &str, authorization: Option<&str>) -> Result<()> {
        let headers: Vec<_> = authorization.iter().map(|&value| ("X-Registry-Auth", value)).collect();
        let request = Request { method: "POST", host: "docker", path, headers: &headers, body: &[] };
        let answer = over_unix(&self.socket, &request)?;
        let text = answer.text();
        // The status is sent before the transfer starts: its end is told in the body.
        if answer.status != 200 || text.contains("\"errorDetail\"") {
            bail!("{verb} {image}: {} {}", answer.status, text.lines().last().unwrap_or_default());
        }
        Ok(())
    }

    /// Creates and starts a container; the answer is its id.
    pub fn run(&self, name: &str, settings: &Value) -> Result<String> {
        let made = self.post(&format!("/containers/create?name={name}"), settings)?;
        let id = made["Id"].as_str().context("a container without an id")?.to_owned();
        self.post(&format!("/containers/{id}/start"), &Value::Null)?;
        Ok(id)
    }
}

fn good(what: &str, answer: &Response) -> Result<Value> {
    if answer.status >= 400 {
        bail!("{what}: {} {}", answer.status, answer.text().trim());
    }
    // Some answers are plain text, some are empty.
    Ok(serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

/// Takes the frames of the log stream apart: eight bytes (stream, zeros, length), then the text.
fn unframe(mut stream: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((head, rest)) = stream.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let length = length.min(rest.len());
        text.extend_from_slice(&rest[..length]);
        stream = &rest[length..];
    }
    String::from_utf8_lossy(&text).into_owned()
}
