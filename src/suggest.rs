//! "Did you mean …?": the known word that is nearest to a mistyped one.

/// How many letters of a word make the slips that are forgiven one more: one in a word of up to seven letters, two up to eleven.
/// Words that merely look alike are other words: `privileged` is not `no-new-privileges`.
const LETTERS_PER_SLIP: usize = 4;

/// The shortest beginning of a word that stands for it, as `prod` does for `production`.
const BEGINNING: usize = 3;

/// Names the known word nearest to `word`, or all known words when none is near.
pub fn nearest(word: &str, known: &[&str]) -> String {
    let near = known.iter().filter_map(|other| Some((slips(word, other)?, *other)));
    near.min_by_key(|(slips, _)| *slips).map_or_else(
        || format!("known here: {}", known.join(", ")),
        |(_, other)| format!("did you mean '{other}'?"),
    )
}

/// How many slips make one word of the other, if they are few: a letter too much, missing, wrong or in its neighbour's place.
/// The case of letters and `_` for `-` are none.
fn slips(word: &str, other: &str) -> Option<usize> {
    let plain = |word: &str| word.to_lowercase().replace('_', "-");
    let (word, other) = (plain(word), plain(other));
    let shorter = word.chars().count().min(other.chars().count());
    let slips = strsim::damerau_levenshtein(&word, &other);
    let begins = shorter >= BEGINNING && (word.starts_with(&other) || other.starts_with(&word));
    if slips <= (shorter / LETTERS_PER_SLIP).max(1) && slips < shorter {
        Some(slips)
    } else {
        begins.then_some(slips)
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_a_slip_is_a_slip() {
        let known = ["no-new-privileges", "read-only", "tag", "tmpfs", "production", "extra-hosts", "init"];
        for (word, meant) in [
            ("tga", "tag"),
            ("read_only", "read-only"),
            ("readonly", "read-only"),
            ("prod", "production"),
            ("extra-host", "extra-hosts"),
            ("NO-NEW-PRIVILEGE", "no-new-privileges"),
        ] {
            assert_eq!(nearest(word, &known), format!("did you mean '{meant}'?"), "{word}");
        }
        for word in ["privileged", "links", "mounts", "restart", "t", "pid", "image", "process-of-ours"] {
            assert!(nearest(word, &known).starts_with("known here: "), "{word}: {}", nearest(word, &known));
        }
    }
}
