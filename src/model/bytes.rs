//! Amounts of memory, as Docker reads them.

use serde::{Deserialize, Serialize};

/// An amount of memory in bytes: `512m`, `1.5GB`, `2 GiB`, a number of bytes. Exactly what `docker run --memory` takes
/// (go-units, `RAMInBytes`): a number, perhaps a space, and in letters of either case `b`, or one of `k`, `m`, `g`, `t` and `p`
/// with `b` or `ib` behind it, which changes nothing: all are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Bytes(pub i64);

/// As people write it: a number of bytes needs no quotes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write an amount of memory, such as \"512m\"")]
enum Written {
    Text(String),
    Number(i64),
}

impl TryFrom<Written> for Bytes {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => Self::try_from(text),
            Written::Number(bytes) => Self::try_from(bytes.to_string()),
        }
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!("'{text}' is not an amount of memory: write a number and b, k, m or g, such as \"512m\"")
        };
        let end_of_number =
            text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(wrong)?;
        let (number, unit) = text.split_at(end_of_number + 1);
        let number = number.strip_suffix(' ').unwrap_or(number);
        let number: f64 = number.parse().ok().filter(|number| *number >= 0.0).ok_or_else(wrong)?;
        let bytes = number * multiplier(&unit.to_lowercase()).ok_or_else(wrong)?;
        // The next one does not fit any more.
        if bytes >= 9_223_372_036_854_775_808.0 {
            return Err(format!("'{text}' is more memory than any machine has"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "as Docker: a part of a byte is left out")]
        Ok(Self(bytes as i64))
    }
}

fn multiplier(unit: &str) -> Option<f64> {
    if unit.is_empty() {
        return Some(1.0);
    }
    let (prefix, rest) = unit.split_at_checked(1)?;
    let power = match prefix {
        "b" if rest.is_empty() => return Some(1.0),
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    ["", "b", "ib"].contains(&rest).then(|| 1024_f64.powi(power))
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> String {
        format!("{}b", bytes.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_dockers_and_no_other() {
        for (text, bytes) in [
            ("512m", 512 << 20),
            ("512M", 512 << 20),
            ("512mb", 512 << 20),
            ("512MiB", 512 << 20),
            ("512 MB", 512 << 20),
            ("1.5g", 1536 << 20),
            (".5G", 512 << 20),
            ("64K", 64 << 10),
            ("1t", 1 << 40),
            ("536870912", 512 << 20),
            ("536870912B", 512 << 20),
            ("1e3k", 1_024_000),
            ("0.1b", 0),
            ("0", 0),
        ] {
            assert_eq!(Bytes::try_from(text.to_owned()).map(|b| b.0), Ok(bytes), "{text}");
        }
        for text in [
            "", "m", "half", "512x", "512mm", "512kbb", "512 m b", "512  m", "-512m", "512bb", "512mibs",
            " 512m", "512m ", "1,5g", "0x10m", "infg", "1 024m", "5٣m", "512й",
        ] {
            let error = Bytes::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("is not an amount of memory"), "{text}: {error}");
        }
        for text in ["99999999999999g", "8192p", "9223372036854775808"] {
            let error = Bytes::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("more memory than any machine has"), "{text}: {error}");
        }
    }
}
