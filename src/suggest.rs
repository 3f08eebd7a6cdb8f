//! "Did you mean …?": the known word that is nearest to a mistyped one.

/// How similar two words must be (0 to 1) for one to be suggested for the other: low enough for two swapped letters in a
/// word of three.
const SIMILAR: f64 = 0.66;

/// Names the known word nearest to `word`, or all known words when none is near.
pub fn nearest(word: &str, known: &[&str]) -> String {
    let similarity = |other: &str| {
        strsim::jaro_winkler(word, other).max(strsim::normalized_damerau_levenshtein(word, other))
    };
    known
        .iter()
        .map(|other| (similarity(other), *other))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(
            || format!("known here: {}", known.join(", ")),
            |(_, other)| format!("did you mean '{other}'?"),
        )
}
