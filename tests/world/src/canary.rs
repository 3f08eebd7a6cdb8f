//! The search for secret values, in every form in which they could turn up.

use std::fs;
use std::path::Path;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::names::{CACHE_PASSWORD, DATABASE_PASSWORD, REGISTRY_PASSWORD};
use memchr::memmem::Finder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::World;

/// RFC 3986: what needs no encoding.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What must not be found.
#[derive(Debug)]
pub struct Canary {
    forms: Vec<Finder<'static>>,
}

impl Canary {
    /// These values.
    pub fn of(values: &[&str]) -> Self {
        let forms = values.iter().flat_map(|value| forms(value));
        Self { forms: forms.map(|form| Finder::new(&form).into_owned()).collect() }
    }

    /// What nobody may see in any deployment in the lab: the passwords of database, cache and registry, and the credentials
    /// of the instance's role.
    pub fn of_the_lab() -> Self {
        let role = ["lab-secret-access-key", "lab-session-token"];
        Self::of(&[DATABASE_PASSWORD, CACHE_PASSWORD, REGISTRY_PASSWORD, role[0], role[1]])
    }

    /// Whether one of the values is in there, in any form.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| form.find(bytes).is_some())
    }

    /// The files below a folder that contain one of the values.
    pub fn files_below(&self, folder: &Path) -> Result<Vec<String>> {
        let mut found = Vec::new();
        self.walk(folder, &mut found)?;
        Ok(found)
    }

    /// The files on an instance that are no container's, and contain one of the values: everything that handover and the
    /// agent write, but for the files that are rendered for containers.
    pub fn found_outside_of_containers(&self, world: &World) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in [
            "/var/lib/handover",
            "/var/log/handover",
            "/opt/codedeploy-agent/deployment-root",
            "/run/handover",
        ] {
            self.walk(&world.web.path(folder), &mut found)?;
        }
        found.retain(|path| !is_rendered(path));
        Ok(found)
    }

    fn walk(&self, folder: &Path, found: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            // The executable itself was there before any secret.
            if path.is_symlink() || path.ends_with("bin/handover") {
                continue;
            }
            if path.is_dir() {
                self.walk(&path, found)?;
            } else if fs::read(&path).is_ok_and(|bytes| self.is_in(&bytes)) {
                found.push(path.display().to_string());
            }
        }
        Ok(())
    }
}

/// `/var/lib/handover/APP/releases/N/files/...`
fn is_rendered(path: &str) -> bool {
    path.split_once("/releases/").is_some_and(|(_, path)| path.split('/').nth(1) == Some("files"))
}

fn forms(value: &str) -> Vec<Vec<u8>> {
    // As Go writes it into JSON, and so Docker onto the disk.
    let json = value.replace('\\', "\\\\").replace('"', "\\\"");
    let go = json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let percent = [RESERVED, NON_ALPHANUMERIC].map(|set| utf8_percent_encode(value, set).to_string());
    let mut forms = vec![value.to_owned(), json, go];
    forms.extend(percent);
    forms.extend((0..3).map(|offset| base64_within(value, offset)));
    forms.into_iter().map(String::into_bytes).collect()
}

/// Inside a longer text, Base64 begins at one of three offsets. This is what then depends on nothing but the value.
fn base64_within(value: &str, offset: usize) -> String {
    let text = STANDARD.encode(format!("{}{value}", &"xxx"[..offset]));
    let (first, end) = ((offset * 8).div_ceil(6), (offset + value.len()) * 8 / 6);
    text[first..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let value = r#"Can4ry-Val/ue#^&<with>"specials\"#;
        let canary = Canary::of(&[value]);
        assert!(!canary.is_in(b"Can4ry"));
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{value}{before}");
            let percent = utf8_percent_encode(&text, RESERVED).to_string();
            for form in [text.clone(), percent, STANDARD.encode(&text), serde_json::json!(text).to_string()] {
                assert!(canary.is_in(form.as_bytes()), "{form}");
            }
        }
    }
}
