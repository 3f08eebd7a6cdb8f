//! `appspec.yml` as a tree, every part with its place in the text.
//!
//! Both agents read YAML with libyaml, 1.8 through Ruby's Psych and 2.x through `serde_yaml`. The parser here is a port of
//! libyaml, too, so that what it takes and what it refuses is the same.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use libyaml_safer::{Encoding, Event, EventData, Parser, ScalarStyle};

use super::malformed::Malformed;
use super::places::{ByteOrderMark, Places};

/// How deep lists and mappings may be nested: `serde_yaml` gives up there, and so does Ruby's stack somewhat later.
const DEEPEST: usize = 127;

/// A part of the file.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// A tag that is written, in full: `tag:yaml.org,2002:str` for `!!str`.
    pub(super) tag: Option<String>,
    pub(super) span: Range<usize>,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<Node>, Rc<Node>)>),
    /// `*name`, and what it stands for. None: nothing before it has that name.
    Alias(Option<Rc<Node>>),
}

/// One value.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Without quotes, and no block.
    pub(super) plain: bool,
    /// A block of lines that begins with `|`.
    pub(super) literal: bool,
    /// Quotes or a block, and no tag: it is a text, whatever it looks like.
    pub(super) certainly_text: bool,
}

/// The first document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// None: there is nothing in it.
    pub(super) root: Option<Rc<Node>>,
    pub(super) rest: Rest,
}

/// What stands behind the first document.
#[derive(Debug)]
pub(super) enum Rest {
    Nothing,
    Another(Range<usize>),
    Broken(Malformed),
}

/// Parses a text.
pub(super) fn parse(text: &str, mark: ByteOrderMark) -> Result<Document, Malformed> {
    if let Some(mistake) = Malformed::character(text) {
        return Err(mistake);
    }
    let places = Places::of(text, mark);
    let prepared = places.prepared();
    let mut input = prepared.as_bytes();
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    parser.set_input(&mut input);
    let mut reader = Reader { parser, places, anchors: BTreeMap::new(), depth: 0 };
    reader.next()?;
    let start = reader.next()?;
    if matches!(start.data, EventData::StreamEnd) {
        return Ok(Document { root: None, rest: Rest::Nothing });
    }
    let first = reader.next()?;
    let root = Some(reader.node(first)?);
    reader.next()?;
    let rest = match reader.next() {
        Ok(event) if matches!(event.data, EventData::StreamEnd) => Rest::Nothing,
        Ok(event) => Rest::Another(reader.places.of_event(&event)),
        Err(mistake) => Rest::Broken(mistake),
    };
    Ok(Document { root, rest })
}

struct Reader<'a> {
    parser: Parser<&'a mut &'a [u8]>,
    places: Places<'a>,
    /// None while what it names is not complete.
    anchors: BTreeMap<String, Option<Rc<Node>>>,
    depth: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Event, Malformed> {
        self.parser.parse().map_err(|error| Malformed::of(&error, &self.places))
    }

    fn node(&mut self, event: Event) -> Result<Rc<Node>, Malformed> {
        let start = self.places.of_event(&event);
        let mut end = start.end;
        let (kind, anchor, tag) = match event.data {
            EventData::Alias { anchor } => {
                (Kind::Alias(self.anchors.get(&anchor).cloned().flatten()), None, None)
            }
            EventData::Scalar { anchor, tag, mut value, quoted_implicit, style, .. } => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if is_block && self.places.is_behind(event.end_mark) && value.ends_with('\n') {
                    value.pop();
                }
                if self.places.has_space_in(&start) {
                    value = value.replace(" ,", ",");
                }
                let scalar = Scalar {
                    text: value,
                    plain: style == ScalarStyle::Plain,
                    literal: style == ScalarStyle::Literal,
                    certainly_text: quoted_implicit,
                };
                (Kind::Scalar(scalar), anchor, tag)
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                self.open(anchor.as_ref(), &start)?;
                let mut items = Vec::new();
                loop {
                    let event = self.next()?;
                    if matches!(event.data, EventData::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event)?);
                }
                end = items.last().map_or(end, |item| item.span.end);
                (Kind::List(items), anchor, tag)
            }
            EventData::MappingStart { anchor, tag, .. } => {
                self.open(anchor.as_ref(), &start)?;
                let mut pairs = Vec::new();
                loop {
                    let event = self.next()?;
                    if matches!(event.data, EventData::MappingEnd) {
                        break;
                    }
                    let key = self.node(event)?;
                    let value = self.next()?;
                    pairs.push((key, self.node(value)?));
                }
                end = pairs.last().map_or(end, |(_, value)| value.span.end.max(end));
                (Kind::Map(pairs), anchor, tag)
            }
            _ => (Kind::List(vec![]), None, None),
        };
        if matches!(kind, Kind::List(_) | Kind::Map(_)) {
            self.depth = self.depth.saturating_sub(1);
        }
        let node = Rc::new(Node { kind, tag, span: start.start..end.max(start.start) });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, Some(Rc::clone(&node)));
        }
        Ok(node)
    }

    fn open(&mut self, anchor: Option<&String>, place: &Range<usize>) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Malformed::too_deep(place.clone()));
        }
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor.clone(), None);
        }
        Ok(())
    }
}

impl Node {
    /// Itself, or what it stands for.
    pub(super) fn resolved(&self) -> Option<&Self> {
        match &self.kind {
            Kind::Alias(target) => target.as_ref()?.resolved(),
            _ => Some(self),
        }
    }

    /// Its first line's place: a list or a mapping is shown by its beginning.
    pub(super) fn place(&self) -> Range<usize> {
        self.span.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text of each value, where the tree says that it stands.
    fn shown(text: &str, node: &Node, found: &mut Vec<String>) {
        match &node.kind {
            Kind::Scalar(_) => found.push(text[node.span.clone()].to_owned()),
            Kind::Alias(_) => {}
            Kind::List(items) => items.iter().for_each(|item| shown(text, item, found)),
            Kind::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                shown(text, key, found);
                shown(text, value, found);
            }),
        }
    }

    #[test]
    fn every_part_is_found_where_it_stands() {
        for (text, parts) in [
            ("größe: 🦀\nos: linux\n", &["größe", "🦀", "os", "linux"][..]),
            ("a: é\r\nos: \"ü\"\r\n", &["a", "é", "os", "\"ü\""]),
            ("\u{feff}# é\na: b", &["a", "b"]),
            ("[!!str, a, \"b !c, d\", e]", &["!!str", "a", "\"b !c, d\"", "e"]),
            ("a: |\n  b\n  c\nd: e", &["a", "|\n  b\n  c", "d", "e"]),
        ] {
            for mark in [ByteOrderMark::Counts, ByteOrderMark::Skipped] {
                let document = parse(text, mark).unwrap();
                let mut found = Vec::new();
                shown(text, document.root.as_ref().unwrap(), &mut found);
                assert_eq!(found, parts, "{text:?}, {mark:?}");
            }
        }
    }

    #[test]
    fn what_is_put_in_for_the_parser_is_in_no_value() {
        for (text, value) in [
            ("|\n  a", "a"),
            ("|\n  a\n", "a\n"),
            ("|-\n  a", "a"),
            (">+\n  a\n\n", "a\n\n"),
            ("x !y, z", "x !y, z"),
            ("'!y,'", "!y,"),
        ] {
            let document = parse(text, ByteOrderMark::Counts).unwrap();
            let Kind::Scalar(scalar) = &document.root.unwrap().kind else { panic!("{text:?} is one value") };
            assert_eq!(scalar.text, value, "{text:?}");
        }
    }

    proptest! {
        /// A panic here would end a hook.
        #[test]
        fn no_text_is_too_much_for_the_parser(pieces in proptest::collection::vec(proptest::sample::select(&[
            "a", "é", "\u{85}", "\u{2028}", "\n", "\r", "\t", " ", "  ", "- ", ": ", ":", "? ", ", ", ",", "[", "]", "{", "}",
            "'", "\"", "\\", "\\x4", "|", "|2", ">-", "!", "!!str", "!<x>", "!a!b", "!%C3%A9", "%", "%YAML 1.2\n", "%TAG ! x\n",
            "&a", "*a", "- |\n  b", "[!x,", "#", " #", "---\n", "...\n", "<<", "\u{feff}", "\0", "0",
        ][..]), 0..24)) {
            let text: String = pieces.concat();
            for mark in [ByteOrderMark::Counts, ByteOrderMark::Skipped] {
                match parse(&text, mark) {
                    Ok(Document { root: Some(root), .. }) => {
                        let mut found = Vec::new();
                        shown(&text, &root, &mut found);
                    }
                    Ok(_) => {}
                    Err(mistake) => prop_assert!(text.is_char_boundary(mistake.span.start), "{text:?}"),
                }
            }
        }
    }
}
