use crate::config::{Settings, parse};
use crate::model::{Check, Needed, TlsMode, Vantage};

const BASE: &str = "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[secret.database]\nid = 'd'\n[secret.redis]\nid = 'r'\n[process.web]\n";

fn settings(check: &str) -> Result<Settings, String> {
    parse(&format!("{BASE}[check.it]\n{check}\n"), "f").map_err(|diagnostic| diagnostic.to_string())
}

fn check(text: &str) -> Check {
    let settings = settings(text).unwrap_or_else(|e| panic!("{e}"));
    settings.checks.into_values().next().unwrap()
}

#[test]
fn what_is_ours_is_required_and_what_is_not_is_reported() {
    for (text, required) in [
        ("postgres = { secret = 'database' }", true),
        ("redis = { secret = 'redis', host = 'cache', tls = true }", true),
        ("redis = { host = 'cache' }\nrequired = false", false),
        ("http = 'http://a.internal/'", false),
        ("https = 'https://a.internal:8443/x?y'\nstatus = ['200', '401']", false),
        ("tcp = 'a.internal:587'", false),
        ("dns = 'a.internal'", false),
        ("dns = 'a.internal'\nrequired = true", true),
    ] {
        assert_eq!(check(text).required, required, "{text}");
    }
}

#[test]
fn what_is_not_said_is_the_strictest() {
    let Check { needed: Needed::Postgres(postgres), from, timeout, deadline, .. } =
        check("postgres = { secret = 'database' }")
    else {
        panic!("it is none")
    };
    assert_eq!((postgres.tls, postgres.ca, from), (TlsMode::VerifyFull, None, Vantage::Host));
    assert_eq!((timeout.as_secs(), deadline.as_secs()), (5, 15));
    assert_eq!(check("dns = 'x'\nfrom = 'container'").from, Vantage::Container);
}

#[test]
fn each_mistake_is_shown_where_it_stands() {
    for (text, place, what, help) in [
        ("required = true", "f:10:1", "asks nothing", "one of postgres, redis"),
        ("tcp = 'a:1'\ndns = 'a'", "f:12:7", "'tcp' and 'dns' cannot both", "[check.NAME] for each"),
        ("pstgres = { secret = 'database' }", "f:11:1", "unknown key 'pstgres'", "'postgres'"),
        ("postgres = { secret = 'databse' }", "f:11:23", "there is no secret 'databse'", "'database'"),
        ("postgres = { secret = 'database', tls = 'verify' }", "f:11:41", "libpq's modes", "verify-"),
        ("postgres = { secret = 'database', sslmode = 'x' }", "f:11:35", "unknown key 'sslmode'", "tls"),
        ("postgres = { secret = 'database', ca = 'ca.pem' }", "f:11:40", "absolute path", "/etc/ssl"),
        (
            "postgres = { secret = 'database', ca = '/ca.pem', tls = 'prefer' }",
            "f:11:40",
            "no CA is asked for",
            "verify-full",
        ),
        ("redis = { host = 'c', ca = '/ca.pem' }", "f:11:28", "without TLS no CA", "tls = true"),
        ("redis = { tls = true }", "f:11:9", "not said where", "host ="),
        ("redis = { host = 'redis://c' }", "f:11:18", "not the name of a host", "without a scheme"),
        ("redis = { host = 'c', port = 0 }", "f:11:30", "no port 0", "server's port"),
        ("https = 'http://a/'", "f:11:9", "no URL of https", "https://HOST/PATH"),
        ("http = 'a.internal/x'", "f:11:8", "no", "http://HOST/PATH"),
        ("https = 'https://me:pw@a/'", "f:11:9", "would be shown", "needs none"),
        ("tcp = 'a.internal'", "f:11:7", "not a host and its port", "HOST:PORT"),
        ("tcp = 'a:1'\nstatus = ['200']", "f:12:10", "only be used with 'http'", "remove it"),
        ("http = 'http://a/'\nstatus = []", "f:12:10", "no status counts", "200-399"),
        ("dns = 'a'\nfrom = 'inside'", "f:12:8", "no place to ask from", "host"),
        ("dns = 'a'\ntimeout = '2h'", "f:12:11", "more than 1 h", ""),
        ("dns = 'a'\ndeadline = '25h'", "f:12:12", "more than 24 h", ""),
    ] {
        let shown = settings(text).unwrap_err();
        assert!([place, what, help].iter().all(|part| shown.contains(part)), "{text}:\n{shown}");
    }
}

#[test]
fn who_asks_from_inside_needs_a_network_of_containers() {
    let text = |network: &str| {
        format!("{BASE}[check.it]\ndns = 'a'\nfrom = 'container'\n")
            .replace("[process.web]\n", &format!("[process.web]\nnetwork = '{network}'\n"))
    };
    for network in ["host", "none"] {
        let shown = parse(&text(network), "f").unwrap_err().to_string();
        assert!(
            shown.contains("no process is on a network of containers") && shown.contains("from = \"host\""),
            "{shown}"
        );
    }
    assert!(parse(&text("backend"), "f").is_ok());
}

#[test]
fn a_name_is_like_a_processs() {
    let text = format!("{BASE}[check.'Not It']\ndns = 'a'\n");
    assert!(parse(&text, "f").unwrap_err().to_string().contains("a letter first"));
}
