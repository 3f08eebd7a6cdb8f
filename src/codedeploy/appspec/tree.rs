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
    let mut input = &text.as_bytes()[skipped..];
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    parser.set_input(&mut input);
    let mut reader = Reader { parser, places: Places::of(text, skipped), anchors: BTreeMap::new(), depth: 0 };
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
            EventData::Scalar { anchor, tag, value, quoted_implicit, style, .. } => {
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

/// From libyaml's places, which count characters, to bytes.
pub(super) struct Places<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Places<'a> {
    fn of(text: &'a str, skipped: usize) -> Self {
        let starts = text[skipped..].char_indices().map(|(byte, _)| skipped + byte).collect();
        Self { text, starts }
    }

    pub(super) fn byte(&self, mark: Mark) -> usize {
        let index = usize::try_from(mark.index).unwrap_or(usize::MAX);
        self.starts.get(index).copied().unwrap_or(self.text.len())
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
