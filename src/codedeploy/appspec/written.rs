//! `appspec.yml` as it is written, every part with its place in the text.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::config::diagnostic::Mistake;

/// The longest that `CodeDeploy` lets an event take (its documented limits), and the agents' default for a script without a
/// timeout (contract of both agents: `script_info.rb`, 3600 s).
pub(crate) const LONGEST: Duration = Duration::from_hours(1);

/// The file. Keys that the agents do not know pass, as they do there.
#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    pub(crate) version: Option<Spanned<Value>>,
    pub(crate) os: Option<Spanned<Value>>,
    pub(crate) hooks: Option<Pairs<Option<Vec<Script>>>>,
    pub(crate) files: Option<Spanned<IgnoredAny>>,
}

/// One script of an event.
#[derive(Debug, Deserialize)]
pub(crate) struct Script {
    pub(crate) location: Option<Spanned<Value>>,
    pub(crate) timeout: Option<Spanned<Value>>,
    pub(crate) runas: Option<Spanned<Value>>,
    pub(crate) sudo: Option<Spanned<Value>>,
}

/// A mapping with the places of its keys.
#[derive(Debug)]
pub(crate) struct Pairs<T>(pub(crate) Vec<(Spanned<String>, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = Pairs<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of events")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect(PhantomData))
    }
}
impl Written {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        serde_saphyr::from_str(text).map_err(|error| {
            let message = error.without_snippet().to_string();
            let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
            let what = what.split_once(", set DuplicateKeyPolicy").map_or(what, |(what, _)| what);
            Mistake::at(error.location().map_or(0..0, |location| bytes(&location, text)), what)
        })
    }

    /// The events and their scripts, in the order of the file.
    pub(crate) fn events(&self) -> impl Iterator<Item = (&Spanned<String>, &[Script])> {
        let pairs = self.hooks.iter().flat_map(|hooks| &hooks.0);
        pairs.map(|(event, scripts)| (event, scripts.as_deref().unwrap_or_default()))
    }
}

impl Script {
    /// Its path in the bundle.
    pub(crate) fn path(&self) -> &str {
        self.location.as_ref().and_then(|location| location.value.as_str()).unwrap_or_default().trim()
    }

    /// How long it may take. `CodeDeploy`'s agent 1.8 reads a text as a number, agent 2.x does not.
    pub(crate) fn time(&self) -> Option<Duration> {
        match self.timeout.as_ref().map(|timeout| &timeout.value) {
            None | Some(Value::Null) => Some(LONGEST),
            Some(Value::String(text)) => text.parse().ok().map(Duration::from_secs),
            Some(value) => value.as_u64().map(Duration::from_secs),
        }
    }
}

/// The bytes of a part in the text. The parser does not know them for all of its errors.
pub(crate) fn bytes(location: &Location, text: &str) -> Range<usize> {
    let span = location.span();
    if let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len())
        && let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length))
    {
        return start..start + length;
    }
    let lines = text.split_inclusive('\n');
    let before = usize::try_from(location.line()).unwrap_or(1).saturating_sub(1);
    let start: usize = lines.clone().take(before).map(str::len).sum();
    let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
    let line = lines.clone().nth(before).unwrap_or_default();
    let start = start + line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
    start..start
}
