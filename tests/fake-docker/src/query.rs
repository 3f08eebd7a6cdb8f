//! Query parameters, all of which must be known.

use crate::answer::{Reply, complain, refuse};

/// The parameters of one call that nobody has asked for yet.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(raw: &str) -> Self {
        let pairs = raw
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect();
        Self { pairs }
    }

    /// Takes a parameter out. Given twice, the first counts, the second stays and is refused at the end.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(key, _)| key == name)?;
        Some(self.pairs.remove(at).1)
    }

    /// A flag. The Engine takes any word for true; this does not.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Reply> {
        match self.take(name).as_deref() {
            None | Some("" | "0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(other) => Err(complain(400, format!("{name}={other} is not a flag"))),
        }
    }

    /// A whole number, with the Engine's complaint about others.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<i64>, Reply> {
        match self.take(name) {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| refuse(500, format!("strconv.Atoi: parsing {}: invalid syntax", quoted(&text)))),
        }
    }

    /// Takes a parameter that may only carry one of these values.
    pub(crate) fn only(&mut self, name: &str, allowed: &[&str]) -> Result<(), Reply> {
        match self.take(name) {
            Some(value) if !allowed.contains(&value.as_str()) => {
                Err(complain(400, format!("query parameter {name}={value} is not supported")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what is left.
    pub(crate) fn finish(self) -> Result<(), Reply> {
        match self.pairs.first() {
            None => Ok(()),
            Some((key, value)) => Err(complain(400, format!("unknown query parameter {key}={value}"))),
        }
    }
}

/// A string as Go's `%q` writes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Undoes percent-encoding, and `+` for a space.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
