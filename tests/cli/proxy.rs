//! Which of handover's own requests go through a proxy, seen by the proxy itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use crate::bundle::{Bundle, Call, Seen, everybodys_folder};

/// The longest that a listener here lives.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server on this host that answers every request alike, and tells of each request its lines.
struct Server {
    address: String,
    heard: mpsc::Receiver<Vec<String>>,
}

impl Server {
    fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, heard) = mpsc::channel();
        std::thread::spawn(move || {
            // Bounded: a run of handover makes a handful of requests. The thread ends with the test's process.
            for connection in listener.incoming().take(50).flatten() {
                connection.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut reader = BufReader::new(&connection);
                // A handshake of TLS has no lines.
                let is_tls = reader.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&0x16));
                let lines: Vec<String> = if is_tls {
                    vec!["TLS".to_owned()]
                } else {
                    let lines = reader.lines().map_while(Result::ok);
                    lines.take_while(|line| !line.is_empty()).take(50).collect()
                };
                if tell.send(lines).is_err() {
                    return;
                }
                let _ = (&connection).write_all(answer.as_bytes());
            }
        });
        Self { address, heard }
    }

    fn requests(&self) -> Vec<Vec<String>> {
        self.heard.try_iter().collect()
    }
}

/// `handover plan`, with an Engine that is not asked before AWS is, and with every proxy set.
fn plan(bundle: &Bundle, proxy: &Server, more: &[(&str, &str)]) -> Seen {
    let folder = everybodys_folder();
    let socket = folder.path().join("docker.sock");
    std::fs::write(&socket, "").unwrap();
    let url = format!("http://me:pr0xy-canary@{}", proxy.address);
    let call = bundle.run(&["plan", bundle.path("").to_str().unwrap()]);
    let call = call.env("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let set = |call: Call, name: &&str| call.env(name, &url);
    let call = ["HTTPS_PROXY", "HTTP_PROXY", "http_proxy"].iter().fold(call, set);
    more.iter().fold(call, |call, (name, value)| call.env(name, value)).seen()
}

/// Both streams, without the ends of lines.
fn said(seen: &Seen) -> String {
    format!("{} {}", seen.stdout, seen.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "none")];
const NO: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn aws_is_asked_through_the_proxy_whose_password_is_not_told() {
    let (bundle, proxy) = (Bundle::new(), Server::answering(NO));
    let seen = plan(&bundle, &proxy, &KEYS);
    assert_eq!(seen.exit, Some(1), "{seen}");
    let named = format!(
        "the proxy {} (HTTPS_PROXY) does not let it through to api.ecr.eu-west-1.amazonaws.com",
        proxy.address
    );
    for words in ["ecr:GetAuthorizationToken", &named, "NO_PROXY"] {
        assert!(said(&seen).contains(words), "{words} is missing: {seen}");
    }
    assert!(!said(&seen).contains("pr0xy-canary") && !said(&seen).contains("VPC endpoint"), "{seen}");
    let requests = proxy.requests();
    assert!(!requests.is_empty(), "{seen}");
    for request in requests {
        assert_eq!(request[0], "CONNECT api.ecr.eu-west-1.amazonaws.com:443 HTTP/1.1");
        // me:pr0xy-canary
        assert!(request.iter().any(|line| line.ends_with("Basic bWU6cHIweHktY2FuYXJ5")), "{request:?}");
    }
}

#[test]
fn what_no_proxy_names_is_asked_directly() {
    let (bundle, proxy) = (Bundle::new(), Server::answering(NO));
    let api = Server::answering("no TLS");
    let port = api.address.rsplit(':').next().unwrap();
    let url = format!("https://127.0.0.1:{port}");
    let more =
        [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL_ECR", url.as_str()), ("NO_PROXY", "example.com,127.0.0.1")];
    let seen = plan(&bundle, &proxy, &more);
    assert_eq!(seen.exit, Some(1), "{seen}");
    assert_eq!(proxy.requests(), Vec::<Vec<String>>::new(), "{seen}");
    assert!(!api.requests().is_empty(), "{seen}");
}

/// A path alone: the instance's metadata have to say which account and region.
#[test]
fn the_metadata_are_never_asked_through_a_proxy() {
    let (bundle, proxy) = (Bundle::new(), Server::answering(NO));
    bundle.write(
        "handover.toml",
        &crate::bundle::CONFIG.replace("123456789012.dkr.ecr.eu-west-1.amazonaws.com/", ""),
    );
    let metadata =
        Server::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let url = format!("http://{}", metadata.address);
    let more = [("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let seen = plan(&bundle, &proxy, &more);
    assert_eq!(seen.exit, Some(1), "{seen}");
    assert!(said(&seen).contains("cannot tell the account and region"), "{seen}");
    assert_eq!(proxy.requests(), Vec::<Vec<String>>::new(), "{seen}");
    let asked = metadata.requests();
    assert!(asked.iter().any(|request| request[0].starts_with("PUT /latest/api/token ")), "{asked:?}");
}

#[test]
fn a_proxy_that_is_none_is_named_by_its_variable() {
    let (bundle, proxy) = (Bundle::new(), Server::answering(NO));
    let seen = plan(&bundle, &proxy, &[("HTTPS_PROXY", "socks5://me:pr0xy-canary@proxy:1080")]);
    assert_eq!(seen.exit, Some(1), "{seen}");
    assert!(said(&seen).contains("HTTPS_PROXY is not the URL of an HTTP proxy"), "{seen}");
    assert!(!said(&seen).contains("pr0xy-canary"), "{seen}");
}
