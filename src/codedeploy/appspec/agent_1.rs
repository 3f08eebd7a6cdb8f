//! How agent 1.8 reads `appspec.yml`: `application_specification/*.rb`, over what Psych loads.
//!
//! It has no types of its own: what it calls on a value, that value has to have. So a list where a mapping belongs is refused by
//! Ruby, not by a rule.

mod permissions;

use std::time::Duration;

use super::places::ByteOrderMark;
use super::psych::{Loaded, Value, load};
use super::reading::{Event, FileMapping, Judgement, LONGEST, Reading, Refusal, Script};
use super::sentences;
use super::tree;

/// Judges a text.
pub(super) fn judge(text: &str, mark: ByteOrderMark) -> Judgement {
    // It reads the first document only, so it never sees what comes behind.
    let document = match tree::parse(text, mark) {
        Ok(document) => document,
        Err(mistake) => return Judgement::unreadable(Refusal::malformed(&mistake)),
    };
    let mut rules = Rules { refused: vec![] };
    let root = document.root.as_ref().map(|root| load(root, &mut rules.refused));
    let root = root.unwrap_or(Loaded { value: Value::Nil, span: 0..0 });
    let reading = rules.file(&root);
    Judgement { reading, refused: rules.refused }
}

struct Rules {
    refused: Vec<Refusal>,
}

impl Rules {
    fn refuse(
        &mut self,
        at: &Loaded,
        thing: &str,
        why: impl Into<String>,
        fix: &str,
        words: impl Into<String>,
    ) {
        // What Psych refused was said, and the agent never came to its own rules.
        if at.value != Value::Refused {
            self.refused.push(Refusal::new(at.span.clone(), thing, why, fix).words(words));
        }
    }

    fn file(&mut self, root: &Loaded) -> Option<Reading> {
        if !matches!(root.value, Value::Map(_)) {
            let start = Loaded { value: root.value.clone(), span: root.span.start..root.span.start };
            let words = match &root.value {
                Value::Nil => sentences::no_method("[]", "nil:NilClass"),
                _ => sentences::version(""),
            };
            let why = if root.value == Value::Nil { "there is nothing in it" } else { "it is no mapping" };
            self.refuse(&start, "this file", why, "write version, os and hooks", words);
            return None;
        }
        self.head(root);
        let events = self.events(root.value.get("hooks"));
        let files = self.files(root.value.get("files"));
        let permissions = self.permissions(root.value.get("permissions"));
        let file_exists = self.file_exists(root.value.get("file_exists_behavior"));
        Some(Reading { events, files, permissions, file_exists })
    }

    fn head(&mut self, root: &Loaded) {
        let missing = Loaded { value: Value::Nil, span: root.span.start..root.span.start };
        let version = root.value.get("version").unwrap_or(&missing);
        // [0.0].include?: a number that equals it.
        let is_zero = match version.value {
            Value::Integer(number) => number == 0,
            Value::Float(number) => number == 0.0,
            _ => false,
        };
        if !is_zero {
            let (thing, why) = match version.value {
                Value::Nil => ("this file", "there is no version"),
                Value::Text(_) => ("this version", "it is a text, not the number 0.0"),
                _ => ("this version", "it is not 0.0"),
            };
            self.refuse(version, thing, why, "write version: 0.0", sentences::version(&version.value.text()));
        }
        let os = root.value.get("os").unwrap_or(&missing);
        if os.value != Value::Text("linux".to_owned()) {
            let (thing, why) = match os.value {
                Value::Nil => ("this file", "there is no os"),
                _ => ("this os", "it is not linux"),
            };
            self.refuse(os, thing, why, "write os: linux", sentences::os(&os.value.text()));
        }
    }

    /// The items on which Ruby's `each` comes, and whether it has them: nothing and an empty mapping have none.
    fn each<'a>(&mut self, list: &'a Loaded, thing: &str, fix: &str) -> &'a [Loaded] {
        match &list.value {
            Value::List(items) => items,
            Value::Map(pairs) if pairs.is_empty() => &[],
            value => {
                let words = sentences::no_method("each", &format!("{}:{}", value.text(), class(value)));
                self.refuse(list, thing, "it is no list", fix, words);
                &[]
            }
        }
    }

    fn events(&mut self, hooks: Option<&Loaded>) -> Vec<Event> {
        let Some(hooks) = hooks.filter(|hooks| !hooks.value.is_nothing()) else { return vec![] };
        let Value::Map(pairs) = &hooks.value else {
            let words = sentences::no_method("each_pair", class(&hooks.value));
            self.refuse(
                hooks,
                "these hooks",
                "they are no mapping of events",
                "write each event as a key",
                words,
            );
            return vec![];
        };
        let mut events = Vec::new();
        for (name, scripts) in pairs {
            let (name, span) = (name.value.text(), name.span.clone());
            let thing = format!("the event {name}");
            let items = if scripts.value == Value::Nil {
                let words = sentences::no_method("each", "nil:NilClass");
                let at = Loaded { value: Value::Nil, span: span.clone() };
                self.refuse(&at, &thing, "it has no list of scripts", "leave it out", words);
                &[][..]
            } else {
                self.each(scripts, &thing, "begin each script with '- location: '")
            };
            let scripts = items.iter().filter_map(|script| self.script(script)).collect();
            events.push(Event { name, span, scripts });
        }
        events
    }

    fn script(&mut self, script: &Loaded) -> Option<Script> {
        let Value::Map(_) = script.value else {
            let words = sentences::no_method("has_key?", class(&script.value));
            self.refuse(script, "this script", "it is no mapping", "write '- location: ' before it", words);
            return None;
        };
        let missing = Loaded { value: Value::Nil, span: script.span.clone() };
        let location = script.value.get("location").unwrap_or(&missing);
        let path = location.value.text().trim().to_owned();
        if path.is_empty() {
            let fix = "write its path in the bundle";
            self.refuse(location, "this script", "it has no location", fix, sentences::LOCATION);
        }
        let timeout = script.value.get("timeout");
        let time = match timeout.filter(|timeout| !timeout.value.is_nothing()) {
            None => LONGEST,
            Some(timeout) => self.timeout(timeout),
        };
        let runas = script.value.get("runas").filter(|user| user.value != Value::Nil);
        let sudo = script.value.get("sudo").filter(|sudo| !sudo.value.is_nothing());
        Some(Script {
            location: path,
            location_span: location.span.clone(),
            timeout: time,
            timeout_span: timeout.map(|timeout| timeout.span.clone()),
            runas: runas.map(|user| user.value.text().trim().to_owned()),
            runas_span: runas.map_or(0..0, |user| user.span.clone()),
            sudo: sudo.is_some(),
            sudo_span: sudo.map_or(0..0, |sudo| sudo.span.clone()),
        })
    }

    /// `to_i`, which has to be above 0 (`script_info.rb`).
    fn timeout(&mut self, timeout: &Loaded) -> Duration {
        let fix = "write a whole number of seconds";
        let Some(seconds) = timeout.value.integer() else {
            let words = sentences::no_method("to_i", class(&timeout.value));
            self.refuse(timeout, "this timeout", "it is no number", fix, words);
            return LONGEST;
        };
        if seconds <= 0 {
            let why = match timeout.value {
                Value::Integer(_) | Value::Float(_) => "it is less than 1 s".to_owned(),
                _ => format!("it reads it as {seconds}"),
            };
            self.refuse(timeout, "this timeout", why, fix, sentences::TIMEOUT);
        }
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    fn files(&mut self, files: Option<&Loaded>) -> Vec<FileMapping> {
        let Some(files) = files.filter(|files| !files.value.is_nothing()) else { return vec![] };
        let fix = "begin each entry with '- source: '";
        if matches!(&files.value, Value::Map(pairs) if !pairs.is_empty()) {
            let words = "no implicit conversion of String into Integer";
            self.refuse(files, "this files section", "it is a mapping, not a list", fix, words);
            return vec![];
        }
        let items = self.each(files, "this files section", fix);
        items.iter().filter_map(|item| self.file_mapping(item)).collect()
    }

    fn file_mapping(&mut self, item: &Loaded) -> Option<FileMapping> {
        let thing = "this entry of files";
        // Ruby's [] of a text gives the key where it occurs in it.
        let part = |key: &str| match &item.value {
            Value::Text(text) if text.contains(key) => {
                Some(Loaded { value: Value::Text(key.to_owned()), span: item.span.clone() })
            }
            value => value.get(key).filter(|part| part.value != Value::Nil).cloned(),
        };
        if !matches!(item.value, Value::Map(_) | Value::Text(_)) {
            let words = sentences::no_method("[]", class(&item.value));
            self.refuse(item, thing, "it is no mapping", "write source and destination", words);
            return None;
        }
        let Some(source) = part("source") else {
            self.refuse(
                item,
                thing,
                "it has no source",
                "write source: and what is to be copied",
                sentences::SOURCE,
            );
            return None;
        };
        let Some(destination) = part("destination") else {
            let words = sentences::destination(&source.value.text());
            self.refuse(item, thing, "it has no destination", "write destination: and a folder", words);
            return None;
        };
        for part in [&source, &destination] {
            // Install gives it to File.join (`installer.rb`), which takes texts.
            if !matches!(part.value, Value::Text(_) | Value::Refused) {
                let words = format!("no implicit conversion of {} into String", class(&part.value));
                self.refuse(
                    part,
                    "this path",
                    "at Install it takes only a text",
                    "write it in quotes",
                    words,
                );
            }
        }
        Some(FileMapping { source: source.value.text(), destination: destination.value.text() })
    }

    fn file_exists(&mut self, behavior: Option<&Loaded>) -> Option<String> {
        let behavior = behavior.filter(|behavior| behavior.value != Value::Nil)?;
        let text = behavior.value.text();
        let is_known =
            matches!(&behavior.value, Value::Text(text) if super::FILE_EXISTS.contains(&text.as_str()));
        if !is_known {
            let (why, fix) = super::unknown_behavior(&text);
            self.refuse(behavior, "this file_exists_behavior", why, &fix, sentences::file_exists(&text));
        }
        Some(text)
    }
}

/// The class of a value, as Ruby's errors name it.
fn class(value: &Value) -> &'static str {
    match value {
        Value::Nil | Value::Refused => "nil:NilClass",
        Value::Bool(true) => "true:TrueClass",
        Value::Bool(false) => "false:FalseClass",
        Value::Integer(_) => "Integer",
        Value::Float(_) => "Float",
        Value::Text(_) => "String",
        Value::Symbol(_) => "Symbol",
        Value::List(_) => "Array",
        Value::Map(_) => "Hash",
    }
}
