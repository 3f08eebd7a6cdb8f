//! A URL, by the HTTP client and the proxy that everything else of ours uses.

use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;

use super::attempt::Attempt;
use super::trouble::{Layer, Trouble, no_way};
use crate::host::web::{Web, advice};
use crate::model::{Place, StatusRange};
use crate::text::{chain, clean, duration};

/// Asks for the URL. Where it leads on to is not followed: that it answers is enough.
pub(super) async fn ask(url: &str, status: &[StatusRange], attempt: &Attempt) -> Result<(), Trouble> {
    let place = place_of(url);
    let web = Web::of_the_system()
        .map_err(|error| Trouble::lasting(Layer::Tls, chain(&error), "look at the environment"))?;
    let timeout = attempt.timeout();
    let settings = HttpConnectorSettings::builder().connect_timeout(timeout).read_timeout(timeout).build();
    let connector = web.connector(settings);
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(url).map_err(|error| Trouble::lasting(Layer::Query, clean(&chain(&error)), ""))?;
    request.headers_mut().insert("user-agent", concat!("handover/", env!("CARGO_PKG_VERSION")));
    let asking = async {
        let answer = connector.call(request).await;
        answer.map_err(|error| trouble(&clean(&chain(&error)), &place, &duration(timeout)))
    };
    // Of the connection the client keeps the time itself, and says so.
    let grace = Attempt::of(timeout + timeout / 10);
    let answer = grace.within(|| Layer::Query, &place, asking).await?;
    let code = answer.status().as_u16();
    if status.iter().any(|range| range.contains(code)) {
        return Ok(());
    }
    let what = format!("{url} answers with status {code}");
    Err(Trouble::passing(Layer::Query, what, "look at its own log; 'status' says which answers count"))
}

/// Who is asked, for people.
fn place_of(url: &str) -> Place {
    let uri: hyper::Uri = url.parse().unwrap_or_default();
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    Place { host, port: uri.port_u16().unwrap_or(default) }
}

/// The layer stands in the words of the error only.
fn trouble(why: &str, place: &Place, timeout: &str) -> Trouble {
    let is = |words: &str| why.contains(words);
    let own = advice(why, &place.host);
    let fix = |usual: String| own.clone().unwrap_or(usual);
    if is("failed to look up") {
        let usual = format!("check the name (getent hosts {}), and the name servers", place.host);
        return Trouble::passing(Layer::Dns, why, fix(usual));
    }
    if is("invalid peer certificate") {
        return Trouble::lasting(Layer::Tls, format!("{place}: {why}"), fix(String::new()));
    }
    if is("connect timeout") {
        let what = format!("{place} did not answer within {timeout}");
        return Trouble::passing(Layer::Connect, what, fix(no_way(&place.to_string())));
    }
    if is("tunnel error") || is("tcp connect error") || is("Connection refused") || is("unreachable") {
        let usual = format!("is it up, and is its port right? {}", no_way(&place.to_string()));
        return Trouble::passing(Layer::Connect, format!("{place}: {why}"), fix(usual));
    }
    if is("timeout") || is("timed out") {
        return Trouble::silence(Layer::Query, &place.to_string(), timeout);
    }
    Trouble::passing(Layer::Query, format!("{place}: {why}"), fix("does it speak HTTP?".to_owned()))
}
