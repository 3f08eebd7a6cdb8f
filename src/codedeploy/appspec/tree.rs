//! `appspec.yml` as a tree, every part with its place in the text.
//!
//! Both agents read YAML with libyaml, 1.8 through Ruby's Psych and 2.x through `serde_yaml`. The parser here is a port of
//! libyaml, too, so that what it takes and what it refuses is the same.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use libyaml_safer::{Encoding, Event, EventData, Mark, Parser, ScalarStyle};

use super::malformed::Malformed;

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

/// The commas that stand right behind what may be a tag. One between `!<` and `>` is part of it.
fn tags_before_commas(text: &str) -> Vec<usize> {
    let mut commas = Vec::new();
    let (mut in_tag, mut in_angles) = (false, false);
    let mut before = ' ';
    for (byte, character) in text.char_indices() {
        in_angles = (in_angles && character != '>') || (in_tag && before == '!' && character == '<');
        if in_tag && !in_angles && character == ',' {
            commas.push(byte);
        }
        let begins = character == '!' && (before.is_whitespace() || "[]{},:?-\"'".contains(before));
        in_tag =
            begins || (in_tag && !character.is_whitespace() && (in_angles || !"[]{},".contains(character)));
        before = character;
    }
    commas
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

/// What becomes of a byte order mark at the start of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrderMark {
    /// It is a character of the first line: both agents tell libyaml the encoding, so that it looks for no mark.
    Counts,
    /// It is skipped, as if it were not there.
    Skipped,
}

/// The mark.
pub(super) const BOM: char = '\u{feff}';

/// Parses a text.
pub(super) fn parse(text: &str, mark: ByteOrderMark) -> Result<Document, Malformed> {
    if let Some(mistake) = Malformed::character(text) {
        return Err(mistake);
    }
    let skipped = match mark {
        ByteOrderMark::Skipped if text.starts_with(BOM) => BOM.len_utf8(),
        _ => 0,
    };
    let places = Places::of(text, skipped);
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

/// The text as it is given to the parser, and back from the parser's places to those of the text.
///
/// The port panics where libyaml does not, for want of a character: at the end of a text without a last newline, and at a tag that
/// a comma follows. So it gets a newline and a space there.
pub(super) struct Places<'a> {
    text: &'a str,
    skipped: usize,
    /// Where a space is put in, in the text behind what is skipped.
    spaces: Vec<usize>,
    has_no_last_newline: bool,
}

impl<'a> Places<'a> {
    fn of(text: &'a str, skipped: usize) -> Self {
        let rest = &text[skipped..];
        Self { text, skipped, spaces: tags_before_commas(rest), has_no_last_newline: !rest.ends_with('\n') }
    }

    fn prepared(&self) -> String {
        let mut prepared = self.text[self.skipped..].to_owned();
        for space in self.spaces.iter().rev() {
            prepared.insert(*space, ' ');
        }
        if self.has_no_last_newline {
            prepared.push('\n');
        }
        prepared
    }

    /// The byte of the text that a place of the parser is.
    pub(super) fn byte(&self, mark: Mark) -> usize {
        let index = usize::try_from(mark.index).unwrap_or(usize::MAX);
        let spaces = self.spaces.iter().enumerate().filter(|(before, space)| *space + before < index).count();
        let byte = self.skipped.saturating_add(index.saturating_sub(spaces)).min(self.text.len());
        self.text.floor_char_boundary(byte)
    }

    /// Whether a space was put into a part: into a text that only looks like a tag and a comma.
    fn has_space_in(&self, part: &Range<usize>) -> bool {
        self.spaces.iter().any(|space| part.contains(&(space + self.skipped)))
    }

    /// Whether a place is behind the end of the text, in the newline that was put there.
    fn is_behind(&self, mark: Mark) -> bool {
        self.has_no_last_newline
            && usize::try_from(mark.index)
                .is_ok_and(|index| index >= self.text.len() - self.skipped + self.spaces.len())
    }

    /// The character that stands at a byte.
    pub(super) fn character(&self, byte: usize) -> Option<char> {
        self.text[byte..].chars().next()
    }

    fn of_event(&self, event: &Event) -> Range<usize> {
        let start = self.byte(event.start_mark);
        let end = self.byte(event.end_mark).max(start);
        start..start + self.text[start..end].trim_end().len()
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
            "&a", "*a", "#", " #", "---\n", "...\n", "<<", "\u{feff}", "\0", "0",
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
