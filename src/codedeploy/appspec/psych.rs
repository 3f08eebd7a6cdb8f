//! What Ruby makes of YAML: Psych 4 with its safe loading, as `CodeDeploy`'s agent 1.8 uses it (`YAML.load` in
//! `application_specification.rb`).
//!
//! The rules are those of Psych's `scalar_scanner.rb` and `visitors/to_ruby.rb`.

use std::ops::Range;
use std::rc::Rc;

use base64::Engine as _;

use super::reading::Refusal;
use super::scalar;
use super::tree::{Kind, Node, Scalar};

/// A value of Ruby's.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Symbol(String),
    List(Vec<Loaded>),
    Map(Vec<(Loaded, Loaded)>),
    /// Psych refuses it, which was said already.
    Refused,
}

/// A value, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loaded {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

/// Loads a tree. What is refused is added to `refused`.
pub(super) fn load(node: &Node, refused: &mut Vec<Refusal>) -> Loaded {
    let value = match &node.kind {
        // Psych's NoAliasRuby: "Unknown alias", whether it is known or not.
        Kind::Alias(_) => {
            refused.push(Refusal::new(node.place(), "this alias", "it takes none", "write the value itself"));
            Value::Refused
        }
        Kind::Scalar(scalar) => scalar_value(node, scalar, refused),
        Kind::List(items) => list(node, items, refused),
        Kind::Map(pairs) => map(node, pairs, refused),
    };
    Loaded { value, span: node.place() }
}

fn list(node: &Node, items: &[Rc<Node>], refused: &mut Vec<Refusal>) -> Value {
    let loaded = items.iter().map(|item| load(item, refused)).collect();
    match node.tag.as_deref() {
        Some(tag) if tag.starts_with("!seq:") || tag.starts_with("!ruby/array:") => tagged(node, refused),
        _ => Value::List(loaded),
    }
}

/// A mapping of which the last of two equal keys counts, and into which `<<` merges another.
fn map(node: &Node, pairs: &[(Rc<Node>, Rc<Node>)], refused: &mut Vec<Refusal>) -> Value {
    let mut known: Vec<(Loaded, Loaded)> = Vec::new();
    for (key_node, value_node) in pairs {
        let key = load(key_node, refused);
        let loaded = load(value_node, refused);
        let is_merge = key.value == Value::Text("<<".to_owned()) && key_node.tag.as_deref() != Some(STR);
        match (&loaded.value, is_merge) {
            (Value::Map(others), true) => {
                others.iter().cloned().for_each(|(key, value)| put(&mut known, key, value));
            }
            (Value::List(items), true) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
                for item in items.iter().rev() {
                    if let Value::Map(others) = &item.value {
                        others.iter().cloned().for_each(|(key, value)| put(&mut known, key, value));
                    }
                }
            }
            _ => put(&mut known, key, loaded),
        }
    }
    let allowed = ["!ruby/hash-with-ivars", "!ruby/object:Hash"];
    match node.tag.as_deref() {
        Some(tag)
            if (tag.starts_with("!ruby/") && !allowed.contains(&tag))
                || ["!map:", "!str"].iter().any(|refused| tag.starts_with(refused))
                || ["!set", "!omap", SET, OMAP, STR].contains(&tag) =>
        {
            tagged(node, refused)
        }
        _ => Value::Map(known),
    }
}

fn put(known: &mut Vec<(Loaded, Loaded)>, key: Loaded, value: Loaded) {
    match known.iter_mut().find(|(other, _)| other.value == key.value) {
        Some((_, old)) => *old = value,
        None => known.push((key, value)),
    }
}

const STR: &str = "tag:yaml.org,2002:str";
const SET: &str = "tag:yaml.org,2002:set";
const OMAP: &str = "tag:yaml.org,2002:omap";
const BINARY: &str = "tag:yaml.org,2002:binary";
const FLOAT: &str = "tag:yaml.org,2002:float";

fn scalar_value(node: &Node, scalar: &Scalar, refused: &mut Vec<Refusal>) -> Value {
    if scalar.certainly_text {
        return Value::Text(scalar.text.clone());
    }
    let symbol = || Value::Symbol(scalar.text.clone());
    match node.tag.as_deref() {
        Some("!binary" | BINARY) => {
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(scalar.text.trim()).unwrap_or_default();
            Value::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some("!str" | "!str:" | "!ruby/string" | "!ruby/string:" | STR) => Value::Text(scalar.text.clone()),
        Some(tag) if tag.starts_with("!ruby/sym") => symbol(),
        Some(tag) if tag.starts_with("!ruby/") || tag.starts_with("!str:") => tagged(node, refused),
        Some("!float" | FLOAT) => match plain(node, &scalar.text, refused) {
            #[expect(clippy::cast_precision_loss, reason = "Ruby's Float() loses it, too")]
            Value::Integer(number) => Value::Float(number as f64),
            Value::Float(number) => Value::Float(number),
            Value::Refused => Value::Refused,
            _ => tagged(node, refused),
        },
        _ => plain(node, &scalar.text, refused),
    }
}

fn plain(node: &Node, text: &str, refused: &mut Vec<Refusal>) -> Value {
    scalar::value(text).unwrap_or_else(|unloadable| {
        let (thing, why) = match unloadable {
            scalar::Unloadable::Date => ("this date", "it takes neither dates nor times"),
            scalar::Unloadable::Number => ("this number", "it cannot read it"),
        };
        refused.push(Refusal::new(node.place(), thing, why, "write it in quotes"));
        Value::Refused
    })
}

fn tagged(node: &Node, refused: &mut Vec<Refusal>) -> Value {
    let what = "it makes none of what is not a text, a number, a list or a mapping";
    refused.push(Refusal::new(node.place(), "this tag", what, "leave out what begins with '!'"));
    Value::Refused
}

impl Value {
    /// What a mapping has at a key.
    pub(super) fn get(&self, key: &str) -> Option<&Loaded> {
        let Self::Map(pairs) = self else { return None };
        pairs
            .iter()
            .find(|(name, _)| matches!(&name.value, Self::Text(text) if text == key))
            .map(|(_, value)| value)
    }

    /// Nil or false: what Ruby's `||` passes over.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nil | Self::Bool(false))
    }

    /// Ruby's `to_s`.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Nil | Self::Refused => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) if number.is_nan() => "NaN".to_owned(),
            Self::Float(number) => format!("{number:?}").replace("inf", "Infinity"),
            Self::Text(text) | Self::Symbol(text) => text.clone(),
            Self::List(items) => {
                format!(
                    "[{}]",
                    items.iter().map(|item| item.value.inspected()).collect::<Vec<_>>().join(", ")
                )
            }
            Self::Map(pairs) => {
                let pair = |(key, value): &(Loaded, Loaded)| {
                    format!("{}=>{}", key.value.inspected(), value.value.inspected())
                };
                format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Ruby's `inspect`.
    fn inspected(&self) -> String {
        match self {
            Self::Nil => "nil".to_owned(),
            Self::Text(text) => format!("{text:?}"),
            Self::Symbol(name) => format!(":{name}"),
            other => other.text(),
        }
    }

    /// Ruby's `to_i`. None: it has none, or raises.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Nil => Some(0),
            Self::Integer(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "to_i cuts")]
            Self::Float(number) => number.is_finite().then_some(*number as i128),
            Self::Text(text) => Some(scalar::leading_integer(text)),
            _ => None,
        }
    }
}
