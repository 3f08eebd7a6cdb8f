//! The instance metadata service, as strict as EC2's with tokens required: IMDSv2 only.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::image::hex;
use crate::names::{ACCOUNT, METADATA, REGION};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

/// What the service says; read anew for each request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metadata {
    /// The instance's id.
    pub instance_id: String,
    /// The instance's own address.
    pub address: String,
    /// Its availability zone.
    pub availability_zone: String,
    /// Its architecture, as the identity document has it.
    pub architecture: String,
    /// The role of its instance profile, if it has one.
    pub role: Option<String>,
    /// Take connections and never answer.
    pub silent: bool,
    /// Seconds that the role's credentials are still good for.
    pub credentials_last: u64,
    /// Further paths below `/latest/` and their values.
    pub more: BTreeMap<String, String>,
}

impl Metadata {
    /// What is true of the instance with this name and number in the lab.
    pub(crate) fn new(lab: &Path, name: &str, number: u8, address: &str) -> Self {
        let digest = crate::image::digest(format!("{} {name}", lab.display()).as_bytes());
        let zone = if number % 2 == 1 { 'a' } else { 'b' };
        Self {
            instance_id: format!("i-0{}", &digest["sha256:".len()..][..16]),
            address: address.to_owned(),
            availability_zone: format!("{REGION}{zone}"),
            architecture: if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }.to_owned(),
            role: Some("lab-instance-role".to_owned()),
            silent: false,
            credentials_last: 6 * 3600,
            more: BTreeMap::new(),
        }
    }

    /// Reads what the service says.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Changes what the service says, at once.
    pub fn write(&self, path: &Path) -> Result<()> {
        // By a rename: a request must not find half of it.
        let staged = path.with_extension("new");
        fs::write(&staged, serde_json::to_vec_pretty(self)?)?;
        Ok(fs::rename(staged, path)?)
    }
}

/// A request, as far as it matters here.
struct Asked {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

/// An answer.
struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Said {
    fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    fn error(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: format!("{status}\n") }
    }
}

/// The tokens that were handed out, and until when they are good.
#[derive(Default)]
struct Tokens(HashMap<String, Instant>);

/// Serves metadata to the instance. It returns only with an error.
pub fn serve(metadata: &Path) -> Result<()> {
    let listener = TcpListener::bind((METADATA, 80)).context("cannot listen for metadata requests")?;
    let tokens = Arc::new(Mutex::new(Tokens::default()));
    for stream in listener.incoming() {
        let (tokens, metadata) = (Arc::clone(&tokens), metadata.to_owned());
        let stream = stream?;
        thread::spawn(move || converse(stream, &tokens, &metadata));
    }
    Ok(())
}

/// Answers the requests of one connection.
fn converse(mut stream: TcpStream, tokens: &Mutex<Tokens>, path: &Path) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(asked) = read_request(&mut reader)? {
        let metadata = Metadata::read(path)?;
        if metadata.silent {
            // Until the other side gives up.
            while reader.read(&mut [0; 512])? > 0 {}
            return Ok(());
        }
        let said = {
            let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
            respond(&asked, &mut tokens, &metadata)
        };
        let mut text = format!(
            "HTTP/1.1 {} Lab\r\nContent-Type: text/plain\r\nServer: EC2ws\r\nContent-Length: {}\r\n",
            said.status,
            said.body.len()
        )
        .into_bytes();
        for (name, value) in said.headers {
            write!(text, "{name}: {value}\r\n")?;
        }
        text.extend(b"\r\n");
        text.extend(said.body.bytes());
        stream.write_all(&text)?;
        if asked.headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(Some(Asked { method, path, headers }))
}

fn respond(asked: &Asked, tokens: &mut Tokens, metadata: &Metadata) -> Said {
    // A request that came through a proxy is refused, so that a fooled proxy gives nothing away.
    if asked.headers.contains_key("x-forwarded-for") {
        return Said::error(403);
    }
    match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", "/latest/api/token") => tokens.hand_out(asked),
        ("GET", path) if tokens.know(asked) => {
            value(path, metadata).map_or_else(|| Said::error(404), Said::ok)
        }
        ("GET", _) => Said::error(401),
        _ => Said::error(405),
    }
}

impl Tokens {
    fn hand_out(&mut self, asked: &Asked) -> Said {
        let ttl = asked.headers.get(TTL).and_then(|value| value.parse().ok());
        let Some(ttl) = ttl.filter(|seconds| (1..=21600).contains(seconds)) else { return Said::error(400) };
        let mut bytes = [0; 28];
        if fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).is_err() {
            return Said::error(500);
        }
        let token = hex(&bytes);
        self.0.insert(token.clone(), Instant::now() + Duration::from_secs(ttl));
        Said {
            status: 200,
            headers: vec![("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl.to_string())],
            body: token,
        }
    }

    fn know(&self, asked: &Asked) -> bool {
        let until = asked.headers.get(TOKEN).and_then(|token| self.0.get(token));
        until.is_some_and(|&until| Instant::now() < until)
    }
}

fn value(path: &str, metadata: &Metadata) -> Option<String> {
    let path = path.strip_prefix("/latest/")?;
    if let Some(value) = metadata.more.get(path) {
        return Some(value.clone());
    }
    let role = metadata.role.as_deref();
    match path {
        "dynamic/instance-identity/document" => Some(identity(metadata)),
        "meta-data/instance-id" => Some(metadata.instance_id.clone()),
        "meta-data/instance-type" => Some("t3.small".to_owned()),
        "meta-data/local-ipv4" => Some(metadata.address.clone()),
        "meta-data/placement/region" => Some(REGION.to_owned()),
        "meta-data/placement/availability-zone" => Some(metadata.availability_zone.clone()),
        "meta-data/iam/security-credentials" | "meta-data/iam/security-credentials/" => {
            role.map(str::to_owned)
        }
        _ => {
            let name = path.strip_prefix("meta-data/iam/security-credentials/")?;
            (role? == name).then(|| credentials(metadata))
        }
    }
}

fn identity(metadata: &Metadata) -> String {
    format!(
        "{:#}",
        json!({
            "accountId": ACCOUNT, "architecture": metadata.architecture,
            "availabilityZone": metadata.availability_zone, "imageId": "ami-0123456789abcdef0",
            "instanceId": metadata.instance_id, "instanceType": "t3.small", "pendingTime": "2020-01-01T00:00:00Z",
            "privateIp": metadata.address, "region": REGION, "version": "2017-09-30",
        })
    )
}

fn credentials(metadata: &Metadata) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!(
        "{:#}",
        json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": utc(now),
            "AccessKeyId": "ASIALAB0000000000000", "SecretAccessKey": "lab-secret-access-key",
            "Token": "lab-session-token", "Expiration": utc(now + metadata.credentials_last),
        })
    )
}

/// Seconds of the epoch as a date and time (the civil calendar by Howard Hinnant's arithmetic).
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86400, seconds % 86400);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Asked, Metadata, Said, Tokens, respond, utc};

    fn ask(tokens: &mut Tokens, method: &str, path: &str, headers: &[(&str, &str)]) -> Said {
        let metadata = Metadata::new(Path::new("/lab"), "web-1", 11, "10.66.0.11");
        ask_of(tokens, &metadata, method, path, headers)
    }

    fn ask_of(
        tokens: &mut Tokens,
        metadata: &Metadata,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Said {
        let headers = headers.iter().map(|&(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        respond(&Asked { method: method.to_owned(), path: path.to_owned(), headers }, tokens, metadata)
    }

    fn token(tokens: &mut Tokens) -> String {
        ask(tokens, "PUT", "/latest/api/token", &[("X-aws-ec2-metadata-token-ttl-seconds", "60")]).body
    }

    #[test]
    fn a_token_needs_a_lifetime_within_its_bounds() {
        let mut tokens = Tokens::default();
        let name = "X-aws-ec2-metadata-token-ttl-seconds";
        for (ttl, status) in [("1", 200), ("21600", 200), ("0", 400), ("21601", 400), ("soon", 400)] {
            assert_eq!(ask(&mut tokens, "PUT", "/latest/api/token", &[(name, ttl)]).status, status, "{ttl}");
        }
        assert_eq!(ask(&mut tokens, "PUT", "/latest/api/token", &[]).status, 400);
        assert_eq!(ask(&mut tokens, "GET", "/latest/api/token", &[]).status, 401);
    }

    #[test]
    fn nothing_without_a_token_of_ours() {
        let mut tokens = Tokens::default();
        let path = "/latest/meta-data/instance-id";
        assert_eq!(ask(&mut tokens, "GET", path, &[]).status, 401);
        assert_eq!(ask(&mut tokens, "GET", path, &[("X-aws-ec2-metadata-token", "mine")]).status, 401);
        let token = token(&mut tokens);
        let said = ask(&mut tokens, "GET", path, &[("X-aws-ec2-metadata-token", &token)]);
        assert_eq!(said.status, 200);
        assert!(said.body.starts_with("i-0") && said.body.len() == 19, "{}", said.body);
        for instant in tokens.0.values_mut() {
            *instant = std::time::Instant::now();
        }
        assert_eq!(ask(&mut tokens, "GET", path, &[("X-aws-ec2-metadata-token", &token)]).status, 401);
    }

    #[test]
    fn nothing_through_a_proxy() {
        let mut tokens = Tokens::default();
        let proxied = ("X-Forwarded-For", "10.0.0.1");
        let ttl = ("X-aws-ec2-metadata-token-ttl-seconds", "60");
        assert_eq!(ask(&mut tokens, "PUT", "/latest/api/token", &[ttl, proxied]).status, 403);
        let token = token(&mut tokens);
        let headers = [("X-aws-ec2-metadata-token", token.as_str()), proxied];
        assert_eq!(ask(&mut tokens, "GET", "/latest/meta-data/instance-id", &headers).status, 403);
    }

    #[test]
    fn the_role_and_its_credentials() {
        let mut tokens = Tokens::default();
        let token = token(&mut tokens);
        let headers = [("X-aws-ec2-metadata-token", token.as_str())];
        let roles = "/latest/meta-data/iam/security-credentials/";
        let role = ask(&mut tokens, "GET", roles, &headers).body;
        let said = ask(&mut tokens, "GET", &format!("{roles}{role}"), &headers);
        let said: serde_json::Value = serde_json::from_str(&said.body).unwrap();
        assert_eq!(said["Code"], "Success");
        assert!(said["Expiration"].as_str() > said["LastUpdated"].as_str());
        assert_eq!(ask(&mut tokens, "GET", &format!("{roles}other"), &headers).status, 404);
        let mut without = Metadata::new(Path::new("/lab"), "web-1", 11, "10.66.0.11");
        without.role = None;
        assert_eq!(ask_of(&mut tokens, &without, "GET", roles, &headers).status, 404);
    }

    #[test]
    fn the_identity_document_and_unknown_paths() {
        let mut tokens = Tokens::default();
        let token = token(&mut tokens);
        let headers = [("X-aws-ec2-metadata-token", token.as_str())];
        let said = ask(&mut tokens, "GET", "/latest/dynamic/instance-identity/document", &headers);
        let said: serde_json::Value = serde_json::from_str(&said.body).unwrap();
        assert_eq!(said["accountId"], "123456789012");
        assert_eq!(said["region"], "eu-west-1");
        assert_eq!(ask(&mut tokens, "GET", "/latest/user-data", &headers).status, 404);
        assert_eq!(ask(&mut tokens, "POST", "/latest/meta-data/instance-id", &headers).status, 405);
    }

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_798_761_599), "2026-12-31T23:59:59Z");
    }
}
