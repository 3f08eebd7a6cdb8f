//! The log tail that a failure carries to the service (contract 1.3).

use crate::agent::Version;

const LIMIT: usize = 2048;

/// Whole entries, oldest dropped first. The two agents count differently.
#[derive(Debug)]
pub(crate) struct Tail {
    version: Version,
    entries: Vec<Vec<u8>>,
}

impl Tail {
    pub(crate) fn new(version: Version) -> Self {
        Self { version, entries: Vec::new() }
    }

    /// Add an entry, then keep the longest run of last entries that fits. One that does not fit by itself leaves
    /// nothing at all, in both agents.
    pub(crate) fn push(&mut self, entry: Vec<u8>) {
        self.entries.push(entry);
        let mut total = 0;
        let mut keep = self.entries.len();
        while keep > 0 {
            total += self.size(&self.entries[keep - 1]);
            if !self.fits(total) {
                break;
            }
            keep -= 1;
        }
        self.entries.drain(..keep);
    }

    /// v1: fewer than 2048 characters. v2: at most 2048 bytes.
    fn fits(&self, total: usize) -> bool {
        match self.version {
            Version::V1 => total < LIMIT,
            Version::V2 => total <= LIMIT,
        }
    }

    fn size(&self, entry: &[u8]) -> usize {
        match self.version {
            // Ruby counts each byte of what is no character as one.
            Version::V1 => {
                entry.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
            }
            Version::V2 => entry.len(),
        }
    }

    /// None when it cannot be put into JSON: v1 keeps the bytes as they came (contract 1.5).
    pub(crate) fn text(&self) -> Option<String> {
        String::from_utf8(self.entries.concat()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(version: Version, entries: &[String]) -> String {
        let mut tail = Tail::new(version);
        for entry in entries {
            tail.push(entry.clone().into_bytes());
        }
        tail.text().expect("UTF-8")
    }

    #[test]
    fn v1_keeps_fewer_than_2048_and_v2_up_to_2048() {
        let just_below = "a".repeat(2047);
        let just = "a".repeat(2048);
        let above = "a".repeat(2049);
        assert_eq!(tail_of(Version::V1, std::slice::from_ref(&just_below)), just_below);
        assert_eq!(tail_of(Version::V1, std::slice::from_ref(&just)), "");
        assert_eq!(tail_of(Version::V2, std::slice::from_ref(&just)), just);
        assert_eq!(tail_of(Version::V2, &[above]), "");
    }

    #[test]
    fn v1_counts_characters_and_v2_bytes() {
        let wide = "é".repeat(1200);
        assert_eq!(tail_of(Version::V1, std::slice::from_ref(&wide)), wide);
        assert_eq!(tail_of(Version::V2, &[wide]), "");
    }

    #[test]
    fn whole_entries_go_and_the_newest_stay() {
        let entries: Vec<String> = (0..100).map(|n| format!("{n:099}\n")).collect();
        for version in Version::ALL {
            let tail = tail_of(version, &entries);
            assert_eq!(tail.lines().count(), 20, "{version:?}");
            assert_eq!(tail.lines().next(), Some(entries[80].trim_end()), "{version:?}");
        }
    }

    #[test]
    fn an_over_long_line_takes_all_before_it_and_what_follows_is_kept() {
        for version in Version::ALL {
            let long = "x".repeat(3000);
            assert_eq!(tail_of(version, &["before\n".into(), long.clone()]), "");
            assert_eq!(tail_of(version, &["before\n".into(), long, "after\n".into()]), "after\n");
        }
    }
}
