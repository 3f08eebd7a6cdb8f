//! From the text to what the parser is given, and back from the parser's places to those of the text.

use std::ops::Range;

use libyaml_safer::{Event, Mark};

/// A byte order mark.
pub(super) const BOM: char = '\u{feff}';

/// What becomes of a byte order mark at the start of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrderMark {
    /// It is a character of the first line: both agents tell libyaml the encoding, so that it looks for no mark.
    Counts,
    /// It is skipped, as if it were not there.
    Skipped,
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
    pub(super) fn of(text: &'a str, mark: ByteOrderMark) -> Self {
        let skipped = match mark {
            ByteOrderMark::Skipped if text.starts_with(BOM) => BOM.len_utf8(),
            _ => 0,
        };
        let rest = &text[skipped..];
        Self { text, skipped, spaces: tags_before_commas(rest), has_no_last_newline: !rest.ends_with('\n') }
    }

    pub(super) fn prepared(&self) -> String {
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
    pub(super) fn has_space_in(&self, part: &Range<usize>) -> bool {
        self.spaces.iter().any(|space| part.contains(&(space + self.skipped)))
    }

    /// Whether a place is behind the end of the text, in the newline that was put there.
    pub(super) fn is_behind(&self, mark: Mark) -> bool {
        self.has_no_last_newline
            && usize::try_from(mark.index)
                .is_ok_and(|index| index >= self.text.len() - self.skipped + self.spaces.len())
    }

    /// The character that stands at a byte.
    pub(super) fn character(&self, byte: usize) -> Option<char> {
        self.text[byte..].chars().next()
    }

    pub(super) fn of_event(&self, event: &Event) -> Range<usize> {
        let start = self.byte(event.start_mark);
        let end = self.byte(event.end_mark).max(start);
        start..start + self.text[start..end].trim_end().len()
    }
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
