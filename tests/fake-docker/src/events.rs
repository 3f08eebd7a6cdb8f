//! What happened: of all the Engine's events, the signals.

use jiff::Timestamp;
use serde_json::json;

use crate::{
    answer::{Answer, Body, Reply, complain, refuse},
    filters,
    lifecycle::known_signal,
    query::quoted,
    request::Request,
    world::World,
};

/// How many the Engine keeps.
const KEPT: usize = 256;

/// A signal to a container.
#[derive(Clone)]
pub(crate) struct Signalled {
    at: Timestamp,
    container: String,
    number: &'static str,
}

pub(crate) fn list(world: &World, request: &Request) -> Answer {
    let (since, until) = (time(request, "since")?, time(request, "until")?);
    let mut containers = vec![];
    for (key, values) in filters::pairs(&request.take("filters").unwrap_or_default())? {
        match (key.as_str(), values.as_slice()) {
            ("container", _) => containers = values,
            ("event", [kill]) if kill == "kill" => {}
            other => return Err(complain(400, format!("filter {other:?} of events is not supported"))),
        }
    }
    request.no_more_parameters()?;
    if until > Timestamp::now() {
        return Err(complain(400, "events are not waited for"));
    }
    let listed = world.signals.iter().filter(|one| one.at >= since && one.at <= until);
    let listed = listed.filter(|one| containers.contains(&one.container)).map(|one| {
        let event = json!({
            "Type": "container", "Action": "kill", "scope": "local",
            "time": one.at.as_second(), "timeNano": one.at.as_nanosecond().to_string().parse::<i64>().unwrap_or_default(),
            "Actor": { "ID": one.container, "Attributes": { "signal": one.number } },
        });
        format!("{event}\n")
    });
    Ok(Reply::new(200, Body::Bytes("application/json", listed.collect::<String>().into_bytes())))
}

/// Seconds, a dot, nine digits of nanoseconds: RFC 3339 is refused.
fn time(request: &Request, parameter: &str) -> Result<Timestamp, Reply> {
    let text = request.take(parameter).unwrap_or_default();
    let time = || {
        let (seconds, nanoseconds) = text.split_once('.').filter(|(_, digits)| digits.len() == 9)?;
        Timestamp::new(seconds.parse().ok()?, nanoseconds.parse().ok()?).ok()
    };
    time().ok_or_else(|| refuse(500, format!("strconv.ParseInt: parsing {}: invalid syntax", quoted(&text))))
}

impl World {
    /// The numbers of the signals to a container.
    pub(crate) fn signals_of(&self, id: &str) -> Vec<&'static str> {
        self.signals.iter().filter(|one| one.container == id).map(|one| one.number).collect()
    }

    /// Notes a signal, by any of its names.
    pub(crate) fn signalled(&mut self, at: usize, signal: &str) {
        let Some((number, _)) = known_signal(signal) else { return };
        let container = self.containers[at].id.clone();
        self.signals.push_back(Signalled { at: Timestamp::now(), container, number });
        if self.signals.len() > KEPT {
            self.signals.pop_front();
        }
    }
}
