//! Masks the values of secrets that are written into a file, so that its text can be shown.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The key that holds the values of a secret.
const LITERAL: &str = "literal";

/// The same text with each byte of such a value replaced by `*`, so that no position changes.
pub(super) fn masked(text: &str) -> String {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut bytes = text.as_bytes().to_vec();
    mask(root.get_ref(), false, &mut bytes);
    // Where a text is not TOML, the end of such a value is not known.
    if let (Some(key), false) = (text.find(LITERAL), errors.is_empty()) {
        hide(&mut bytes[key + LITERAL.len()..]);
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn mask(table: &DeTable<'_>, is_secret: bool, bytes: &mut [u8]) {
    for (key, value) in table {
        mask_value(value, is_secret || key.get_ref() == LITERAL, bytes);
    }
}

fn mask_value(value: &Spanned<DeValue<'_>>, is_secret: bool, bytes: &mut [u8]) {
    match value.get_ref() {
        DeValue::Table(table) => mask(table, is_secret, bytes),
        _ if is_secret => hide(bytes.get_mut(value.span()).unwrap_or_default()),
        _ => {}
    }
}

fn hide(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b'*');
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn only_the_values_of_secrets_are_hidden_and_nothing_moves() {
        let text = "a = 'b'\nsecret.x = { literal = { user = 'sp', password = 'höh' } }\n[group.test.secret.y.literal]\nkey = \"\"\"\nhunter2\"\"\"\n";
        assert_eq!(
            masked(text),
            "a = 'b'\nsecret.x = { literal = { user = ****, password = ****** } }\n[group.test.secret.y.literal]\nkey = ***\n**********\n"
        );
        for broken in [
            "literal = { us{ 'ü', password = \"\"\"\nhunter2\"\"\" }\n",
            "[secret.x.literal]\na = 'hunter2\n",
        ] {
            assert!(!masked(broken).contains("hunter2"), "{}", masked(broken));
        }
        assert!(!masked("secret.x = { literal = { password = 'hunter2' } }\ntag = v1\n").contains("hunter2"));
    }
}
