//! What `serde_yaml` 0.9 (`de.rs`) puts into a field of each type, and what it refuses.

use std::rc::Rc;

use super::Rules;
use crate::codedeploy::appspec::reading::Refusal;
use crate::codedeploy::appspec::sentences;
use crate::codedeploy::appspec::tree::{Kind, Node, Scalar};

/// The known keys of a mapping and their values.
pub(super) struct Fields<'a> {
    known: Vec<(String, &'a Node)>,
    pub(super) at: Option<&'a Node>,
}

impl<'a> Fields<'a> {
    /// The value at a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.known.iter().find(|(name, _)| name == key).map(|(_, node)| *node)
    }
}

const INT: &str = "tag:yaml.org,2002:int";
const FLOAT: &str = "tag:yaml.org,2002:float";
const BOOL: &str = "tag:yaml.org,2002:bool";
const NULL: &str = "tag:yaml.org,2002:null";

impl Rules {
    fn of_type(&mut self, at: &Node, thing: &str, why: impl Into<String>, fix: &str) {
        let why = why.into();
        let words = sentences::yaml(&format!("invalid type: {thing}: {why}"));
        self.types.push(Refusal::new(at.place(), thing, why, fix).words(words));
    }

    /// Names that stand for nothing, wherever they are.
    pub(super) fn aliases(&mut self, node: &Node) {
        match &node.kind {
            Kind::Alias(Some(_)) | Kind::Scalar(_) => {}
            Kind::Alias(None) => {
                let words = sentences::yaml("unknown anchor");
                let refusal = Refusal::new(
                    node.place(),
                    "this alias",
                    "nothing before it has that name",
                    "write the value itself",
                );
                self.types.push(refusal.words(words));
            }
            Kind::List(items) => items.iter().for_each(|item| self.aliases(item)),
            Kind::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                self.aliases(key);
                self.aliases(value);
            }),
        }
    }

    /// A struct: a mapping with keys that it knows, each once. An empty value counts as an empty mapping.
    pub(super) fn fields<'a>(
        &mut self,
        node: Option<&'a Node>,
        thing: &str,
        fix: &str,
        keys: &[&str],
    ) -> Option<Fields<'a>> {
        let Some(node) = node else { return Some(Fields { known: vec![], at: None }) };
        let pairs = self.map(node, thing, "it is no mapping", fix)?;
        let mut known: Vec<(String, &Node)> = Vec::new();
        for (key, value) in pairs {
            let Some(name) = self.text(key, "this key") else { continue };
            if !keys.contains(&name.as_str()) {
                continue;
            }
            if known.iter().any(|(other, _)| *other == name) {
                let thing = format!("this {name}");
                self.of_type(key, &thing, "it stands here for the second time", "leave one of the two out");
            } else {
                known.push((name, value));
            }
        }
        Some(Fields { known, at: Some(node) })
    }

    /// A mapping, or an empty value.
    pub(super) fn map<'a>(
        &mut self,
        node: &'a Node,
        thing: &str,
        why: &str,
        fix: &str,
    ) -> Option<&'a [(Rc<Node>, Rc<Node>)]> {
        match node.resolved().map(|node| &node.kind) {
            Some(Kind::Map(pairs)) => Some(pairs),
            Some(Kind::Scalar(scalar)) if scalar.is_empty() => Some(&[]),
            // What names nothing was refused as such.
            None => None,
            Some(_) => {
                self.of_type(node, thing, why, fix);
                None
            }
        }
    }

    /// A list. None and an empty value are an empty one.
    pub(super) fn list<'a>(&mut self, node: Option<&'a Node>, thing: &str, fix: &str) -> &'a [Rc<Node>] {
        let Some(node) = node else { return &[] };
        match node.resolved().map(|node| &node.kind) {
            Some(Kind::List(items)) => items,
            Some(Kind::Scalar(scalar)) if scalar.is_empty() => &[],
            None => &[],
            Some(_) => {
                self.of_type(node, thing, "it is no list", fix);
                &[]
            }
        }
    }

    /// A list, or null.
    pub(super) fn optional_list<'a>(
        &mut self,
        node: Option<&'a Node>,
        thing: &str,
        fix: &str,
    ) -> &'a [Rc<Node>] {
        let node = self.some(node);
        self.list(node, thing, fix)
    }

    /// A text: any value, as it is written.
    pub(super) fn text(&mut self, node: &Node, thing: &str) -> Option<String> {
        match node.resolved().map(|node| &node.kind) {
            Some(Kind::Scalar(scalar)) => Some(scalar.text.clone()),
            None => None,
            Some(_) => {
                self.of_type(node, thing, "it is no text", "write one value");
                None
            }
        }
    }

    pub(super) fn optional_text(&mut self, node: Option<&Node>, thing: &str) -> Option<String> {
        let node = self.some(node)?;
        self.text(node, thing)
    }

    /// A number, whole or not.
    pub(super) fn number(&mut self, node: &Node, thing: &str, fix: &str) -> Option<f64> {
        let number = node.literal(FLOAT).and_then(|scalar| {
            let text = &scalar.text;
            let digits = text.strip_prefix('+').filter(|rest| !rest.starts_with(['+', '-'])).unwrap_or(text);
            let special = matches!(
                text.trim_start_matches(['+', '-']),
                ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN"
            );
            if special {
                Some(f64::INFINITY)
            } else {
                digits.parse::<f64>().ok().filter(|number| number.is_finite())
            }
        });
        if number.is_none() && node.resolved().is_some() {
            let why = if node.is_quoted() { "it is a text, not the number 0.0" } else { "it is not 0.0" };
            self.of_type(node, thing, why, fix);
        }
        number
    }

    /// A number of seconds in 32 bits, or null.
    pub(super) fn optional_seconds(&mut self, node: Option<&Node>) -> Option<u32> {
        let node = self.some(node)?;
        let number = node.literal(INT).and_then(|scalar| unsigned(&scalar.text));
        let seconds = number.and_then(|number| u32::try_from(number).ok());
        if seconds.is_none() && node.resolved().is_some() {
            let why = match (number, node.is_quoted()) {
                (Some(_), _) => "it is too large",
                (None, true) => "it takes no quotes around a number",
                (None, false) => "it is no whole number as it reads numbers",
            };
            self.of_type(node, "this timeout", why, "write a whole number of seconds");
        }
        seconds
    }

    /// `true`, `false` or null.
    pub(super) fn optional_boolean(&mut self, node: Option<&Node>) -> Option<bool> {
        let node = self.some(node)?;
        let value = node.literal(BOOL).and_then(|scalar| match scalar.text.as_str() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        });
        if value.is_none() && node.resolved().is_some() {
            self.of_type(node, "this sudo", "it is neither true nor false", "leave it out");
        }
        value
    }

    /// What is there and not null.
    pub(super) fn some<'a>(&mut self, node: Option<&'a Node>) -> Option<&'a Node> {
        let node = node?;
        let resolved = node.resolved()?;
        let Kind::Scalar(scalar) = &resolved.kind else { return Some(node) };
        if !scalar.plain {
            return Some(node);
        }
        let is_null = matches!(scalar.text.as_str(), "~" | "null" | "Null" | "NULL");
        match resolved.tag.as_deref() {
            None => (!is_null && !scalar.text.is_empty()).then_some(node),
            Some(NULL) if is_null => None,
            Some(NULL) => {
                self.of_type(node, "this tag", "the value is not null", "leave out what begins with '!'");
                None
            }
            Some(_) => Some(node),
        }
    }
}

impl Node {
    /// A value that may be a number or a boolean: without quotes, or a block with the tag of that type.
    fn literal(&self, tag: &str) -> Option<&Scalar> {
        let node = self.resolved()?;
        let Kind::Scalar(scalar) = &node.kind else { return None };
        let is_tagged = scalar.literal && node.tag.as_deref() == Some(tag);
        (scalar.plain || is_tagged).then_some(scalar)
    }

    fn is_quoted(&self) -> bool {
        matches!(self.resolved().map(|node| &node.kind), Some(Kind::Scalar(scalar)) if !scalar.plain)
    }
}

impl Scalar {
    fn is_empty(&self) -> bool {
        self.plain && self.text.is_empty()
    }
}

/// A whole number of YAML 1.2: decimal, or with `0x`, `0o` or `0b`. A leading zero makes it a text.
fn unsigned(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return if rest.starts_with(['+', '-']) { None } else { u64::from_str_radix(rest, base).ok() };
        }
    }
    let is_number = digits == "0" || !digits.starts_with(['0', '+', '-']);
    is_number.then(|| digits.parse().ok()).flatten()
}
