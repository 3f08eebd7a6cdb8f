//! The `filters` parameter.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    answer::{Reply, complain, refuse},
    container::Container,
};

/// Filters that the Engine has and the fake has not.
const UNSUPPORTED: [&str; 11] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "is-task",
    "isolation",
    "network",
    "publish",
    "since",
    "volume",
];
const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// A parsed filter: each kind's values are alternatives, except labels, all of which must hold.
#[derive(Default)]
pub(crate) struct Filters {
    labels: Vec<String>,
    names: Vec<String>,
    ids: Vec<String>,
    pub(crate) states: Vec<String>,
}

impl Filters {
    pub(crate) fn parse(text: &str) -> Result<Self, Reply> {
        let mut filters = Self::default();
        for (key, values) in pairs(text)? {
            match key.as_str() {
                "label" => filters.labels.extend(values),
                "name" => {
                    if let Some(odd) = values.iter().find(|value| pattern(value).is_none()) {
                        return Err(complain(400, format!("the name filter {odd} is too much of a pattern")));
                    }
                    filters.names.extend(values);
                }
                "id" => filters.ids.extend(values),
                "status" => {
                    if let Some(odd) = values.iter().find(|value| !STATES.contains(&value.as_str())) {
                        return Err(refuse(400, format!("Invalid filter 'status={odd}'")));
                    }
                    filters.states.extend(values);
                }
                other if UNSUPPORTED.contains(&other) => {
                    return Err(complain(400, format!("filter {other} is not supported")));
                }
                other => return Err(refuse(400, format!("Invalid filter '{other}'"))),
            }
        }
        Ok(filters)
    }

    pub(crate) fn match_container(&self, one: &Container) -> bool {
        self.labels.iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => one.label(key) == Some(value),
            None => one.label(wanted).is_some(),
        }) && (self.names.is_empty() || self.names.iter().any(|wanted| match_name(wanted, &one.name)))
            && (self.ids.is_empty() || self.ids.iter().any(|id| one.id.starts_with(id.as_str())))
            && (self.states.is_empty() || self.states.iter().any(|state| state == one.status.word()))
    }
}

/// Whether labels have the one that a filter wants: `key` or `key=value`.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|is| is == value),
        None => labels.contains_key(wanted),
    }
}

/// Reads `{"label":["a=b"]}` or the older `{"label":{"a=b":true}}`.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, Vec<String>)>, Reply> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| refuse(500, format!("invalid filters: {error}")))?;
    let bad = || refuse(500, "invalid filters");
    let mut all = Vec::new();
    for (key, values) in value.as_object().ok_or_else(bad)? {
        let values = match values {
            Value::Array(list) => list.iter().map(|v| v.as_str().map(str::to_owned)).collect(),
            Value::Object(map) => Some(map.keys().cloned().collect()),
            _ => None,
        };
        all.push((key.clone(), values.ok_or_else(bad)?));
    }
    Ok(all)
}

/// The Engine matches names by regular expression, with and without the leading slash. Of those the fake knows plain
/// text, anchors, and an escaped dot; a bare dot matches any character here too.
fn pattern(text: &str) -> Option<(bool, Vec<Option<char>>, bool)> {
    let (text, from_start) = text.strip_prefix('^').map_or((text, false), |rest| (rest, true));
    let (text, to_end) = text.strip_suffix('$').map_or((text, false), |rest| (rest, true));
    let mut letters = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        letters.push(match c {
            '\\' => Some(chars.next().filter(|c| "./-".contains(*c))?),
            '.' => None,
            c if c.is_ascii_alphanumeric() || "_-/".contains(c) => Some(c),
            _ => return None,
        });
    }
    Some((from_start, letters, to_end))
}

fn match_name(wanted: &str, name: &str) -> bool {
    let Some((from_start, letters, to_end)) = pattern(wanted) else { return false };
    [format!("/{name}"), name.to_owned()].iter().any(|text| {
        let text: Vec<char> = text.chars().collect();
        let fits = |at: usize| {
            let part = text.get(at..at + letters.len());
            part.is_some_and(|p| p.iter().zip(&letters).all(|(c, l)| l.is_none_or(|l| l == *c)))
                && (!to_end || at + letters.len() == text.len())
        };
        if from_start { fits(0) } else { (0..=text.len()).any(fits) }
    })
}

#[cfg(test)]
mod tests {
    use super::match_name;

    #[test]
    fn a_name_filter_is_a_search_unless_it_is_anchored() {
        assert!(match_name("web", "status-page-web.r12"));
        assert!(match_name("^status-page-web$", "status-page-web"));
        assert!(match_name("^/status-page-web$", "status-page-web"));
        assert!(!match_name("^status-page-web$", "status-page-web.r12"));
        assert!(match_name("web.r1", "web-r1"), "a dot is a pattern");
        assert!(!match_name("^web\\.r1$", "web-r1"));
    }
}
