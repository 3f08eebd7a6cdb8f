//! How agent 2.x reads `appspec.yml`: the types of its `application_specification/parse.rs`, as `serde_yaml` 0.9 fills them.
//!
//! A text takes a value as it is written, whatever that looks like; a number and a boolean take only what is one in YAML 1.2.
//! Keys that it does not know pass; one that it knows may stand there once.

mod permissions;
mod typed;

use std::time::Duration;

use super::places::ByteOrderMark;
use super::reading::{Event, FileMapping, Judgement, LONGEST, Reading, Refusal, Script};
use super::tree::{self, Node, Rest};
use super::{FILE_EXISTS, sentences, unknown_behavior};
use typed::Fields;

/// Judges a text.
pub(super) fn judge(text: &str, mark: ByteOrderMark) -> Judgement {
    if text.trim().is_empty() {
        let refusal =
            Refusal::new(0..0, "this file", "there is nothing in it", "write version, os and hooks");
        return Judgement::unreadable(refusal.words(sentences::EMPTY));
    }
    let malformed = |mistake| {
        let refusal = Refusal::malformed(&mistake);
        let words = sentences::yaml(&refusal.words);
        refusal.words(words)
    };
    let document = match tree::parse(text, mark) {
        Ok(document) => document,
        Err(mistake) => return Judgement::unreadable(malformed(mistake)),
    };
    let mut rules = Rules { types: vec![], values: vec![] };
    match document.rest {
        Rest::Nothing => {}
        Rest::Broken(mistake) => rules.types.push(malformed(mistake)),
        Rest::Another(span) => {
            let why = "a second document begins here";
            let words =
                sentences::yaml("deserializing from YAML containing more than one document is not supported");
            rules
                .types
                .push(Refusal::new(span, "this file", why, "leave out what follows '---'").words(words));
        }
    }
    if let Some(root) = &document.root {
        rules.aliases(root);
    }
    let reading = rules.file(document.root.as_deref());
    // The types are filled before any value is looked at.
    Judgement { reading, refused: rules.types.into_iter().chain(rules.values).collect() }
}

/// What is refused: by the types, and by the rules for values that are looked at after that.
struct Rules {
    types: Vec<Refusal>,
    values: Vec<Refusal>,
}

impl Rules {
    fn value(&mut self, at: &Node, thing: &str, why: impl Into<String>, fix: &str, words: impl Into<String>) {
        self.values.push(Refusal::new(at.place(), thing, why, fix).words(words));
    }

    fn file(&mut self, root: Option<&Node>) -> Option<Reading> {
        let keys = ["version", "os", "hooks", "files", "permissions", "file_exists_behavior"];
        let fields = self.fields(root, "this file", "write version, os and hooks", &keys)?;
        self.head(&fields);
        let events = fields.get("hooks").map(|hooks| self.events(hooks)).unwrap_or_default();
        let files =
            self.list(fields.get("files"), "this files section", "begin each entry with '- source: '");
        let files = files.iter().filter_map(|item| self.file_mapping(item)).collect();
        let list = self.list(
            fields.get("permissions"),
            "this permissions section",
            "begin each entry with '- object: '",
        );
        let permissions = list.iter().filter_map(|item| self.permission(item)).collect();
        let file_exists = self.optional_text(fields.get("file_exists_behavior"), "this file_exists_behavior");
        if let (Some(text), Some(at)) = (&file_exists, fields.get("file_exists_behavior"))
            && !FILE_EXISTS.contains(&text.as_str())
        {
            let (why, fix) = unknown_behavior(text);
            self.value(at, "this file_exists_behavior", why, &fix, sentences::file_exists(text));
        }
        Some(Reading { events, files, permissions, file_exists })
    }

    fn head(&mut self, fields: &Fields) {
        match fields.get("version") {
            None => self.missing(fields.at, "there is no version", "write version: 0.0"),
            Some(version) => match self.number(version, "this version", "write version: 0.0") {
                // As near as 2.x looks: its types.rs.
                Some(number) if number.abs() >= f64::EPSILON => {
                    let words = sentences::version(&format!("{number:?}"));
                    self.value(version, "this version", "it is not 0.0", "write version: 0.0", words);
                }
                _ => {}
            },
        }
        match fields.get("os") {
            None => self.missing(fields.at, "there is no os", "write os: linux"),
            Some(os) => match self.text(os, "this os") {
                // It takes "windows" anywhere; 1.8 does not.
                Some(name) if !["linux", "windows"].contains(&name.as_str()) => {
                    self.value(os, "this os", "it is not linux", "write os: linux", sentences::os(&name));
                }
                _ => {}
            },
        }
    }

    fn missing(&mut self, at: Option<&Node>, why: &str, fix: &str) {
        let start = at.map_or(0, |node| node.place().start);
        let words = sentences::yaml(&why.replace("there is no ", "missing field "));
        self.types.push(Refusal::new(start..start, "this file", why, fix).words(words));
    }

    fn events(&mut self, hooks: &Node) -> Vec<Event> {
        let fix = "write each event as a key";
        let Some(pairs) = self.map(hooks, "these hooks", "they are no mapping of events", fix) else {
            return vec![];
        };
        let mut events: Vec<(Event, Vec<Refusal>)> = Vec::new();
        for (key, value) in pairs {
            let Some(name) = self.text(key, "this event") else { continue };
            let thing = format!("the event {name}");
            let known = self.values.len();
            let scripts = self.optional_list(Some(value), &thing, "begin each script with '- location: '");
            let scripts = scripts.iter().filter_map(|script| self.script(script)).collect();
            let event = (Event { name, span: key.place(), scripts }, self.values.split_off(known));
            // An event that is there twice is what stands there last: the values of the first are not looked at.
            match events.iter_mut().find(|(other, _)| other.name == event.0.name) {
                Some(other) => *other = event,
                None => events.push(event),
            }
        }
        let (events, refused): (Vec<Event>, Vec<Vec<Refusal>>) = events.into_iter().unzip();
        self.values.extend(refused.into_iter().flatten());
        events
    }

    fn script(&mut self, script: &Node) -> Option<Script> {
        let keys = ["location", "runas", "sudo", "timeout"];
        let fields = self.fields(Some(script), "this script", "write '- location: ' before it", &keys)?;
        let location = self.optional_text(fields.get("location"), "this location");
        let path = location.unwrap_or_default().trim().to_owned();
        let at = fields.get("location").unwrap_or(script);
        if path.is_empty() {
            self.value(
                at,
                "this script",
                "it has no location",
                "write its path in the bundle",
                sentences::LOCATION,
            );
        }
        let runas = self.optional_text(fields.get("runas"), "this runas");
        let sudo = self.optional_boolean(fields.get("sudo"));
        let place = |key: &str| fields.get(key).map_or(0..0, Node::place);
        Some(Script {
            location: path,
            location_span: at.place(),
            timeout: self.timeout(fields.get("timeout")),
            timeout_span: fields.get("timeout").map(Node::place),
            runas: runas.map(|user| user.trim().to_owned()).filter(|user| !user.is_empty()),
            runas_span: place("runas"),
            sudo: sudo.unwrap_or(false),
            sudo_span: place("sudo"),
        })
    }

    fn timeout(&mut self, timeout: Option<&Node>) -> Duration {
        match (timeout, self.optional_seconds(timeout)) {
            (Some(at), Some(0)) => {
                let fix = "write a whole number of seconds";
                self.value(at, "this timeout", "it is less than 1 s", fix, sentences::TIMEOUT);
                Duration::ZERO
            }
            (_, Some(seconds)) => Duration::from_secs(seconds.into()),
            (_, None) => LONGEST,
        }
    }

    fn file_mapping(&mut self, item: &Node) -> Option<FileMapping> {
        let thing = "this entry of files";
        let fields =
            self.fields(Some(item), thing, "write source and destination", &["source", "destination"])?;
        let mut part = |key| self.optional_text(fields.get(key), "this path").filter(|path| !path.is_empty());
        let (source, destination) = (part("source"), part("destination"));
        match (source, destination) {
            (Some(source), Some(destination)) => Some(FileMapping { source, destination }),
            (None, _) => {
                let fix = "write source: and what is to be copied";
                self.value(item, thing, "it has no source", fix, sentences::SOURCE);
                None
            }
            (Some(source), None) => {
                let words = sentences::destination(&source);
                self.value(item, thing, "it has no destination", "write destination: and a folder", words);
                None
            }
        }
    }
}
