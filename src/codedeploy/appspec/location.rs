//! From a `location` to the file that `CodeDeploy` runs, and whether that is handover. lint and the hook find it the same way.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What every name of the binary begins with.
const NAME: &str = "handover";

/// The path below the bundle: both agents put a `location` behind the bundle's own path, whatever it begins with
/// (`hook_executor.rb`, `executor.rs`).
pub(crate) fn below(location: &str) -> &str {
    location.trim_start_matches('/')
}

/// The executable of a running hook.
pub(crate) struct Ourselves<'a> {
    bundle: &'a Path,
    executable: PathBuf,
}

impl<'a> Ourselves<'a> {
    /// `location` is the executable's path in the bundle.
    pub(crate) fn executable(bundle: &'a Path, location: &str) -> Self {
        let path = bundle.join(location);
        Self { bundle, executable: path.canonicalize().unwrap_or(path) }
    }

    /// Whether this executable runs when `CodeDeploy` runs that location.
    pub(crate) fn run_at(&self, location: &str) -> bool {
        programs(self.bundle, location).contains(&self.executable)
    }
}

/// What runs at a location: the file that it leads to, and of a script the binaries that it starts. Empty: it leads to none.
pub(crate) fn programs(bundle: &Path, location: &str) -> Vec<PathBuf> {
    let Ok(file) = bundle.join(below(location)).canonicalize() else { return vec![] };
    let mut programs = started_by(bundle, &file);
    programs.insert(0, file);
    programs
}

/// Whether handover runs at a location, as far as that can be seen in a bundle: by the binary's name.
pub(crate) fn runs_handover(bundle: &Path, location: &str) -> bool {
    let programs = programs(bundle, location);
    match programs.as_slice() {
        // What is not there is said to be missing, and would be it.
        [] => is_named(Path::new(location.split_whitespace().next().unwrap_or_default())),
        [file] => !is_script(file) && (is_named(file) || is_named(Path::new(location))),
        [_, started @ ..] => started.iter().any(|program| is_named(program)),
    }
}

/// Whether a file has a name of ours.
pub(crate) fn is_named(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NAME))
}

/// The binaries that a script starts: beside it with its own name and an architecture's (`bin/handover-x86_64` beside
/// `bin/handover`), or named where it has `exec`.
pub(crate) fn started_by(bundle: &Path, script: &Path) -> Vec<PathBuf> {
    if !is_script(script) {
        return vec![];
    }
    let text = fs::read(script).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let own = format!("{}-", script.file_name().unwrap_or_default().to_string_lossy());
    let words = words(&text);
    let is_started = |name: &str| {
        name.starts_with(&own)
            || words
                .iter()
                .any(|(word, open)| if *open { name.starts_with(word.as_str()) } else { name == word })
    };
    let beside = script.parent().map(Path::to_owned);
    let mut found: Vec<PathBuf> = [beside, Some(bundle.to_owned()), Some(bundle.join("bin"))]
        .into_iter()
        .flatten()
        .filter_map(|folder| folder.read_dir().ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| is_started(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| entry.path().canonicalize().ok())
        .filter(|path| path.is_file() && path != script && !path.ends_with(crate::config::FILE_NAME))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether a file begins with `#!`.
pub(crate) fn is_script(file: &Path) -> bool {
    let mut first = [0; 2];
    fs::File::open(file).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *b"#!"
}

/// The words that name what a script becomes: those of a line with `exec`, and of what is assigned to a variable in such a line.
/// True: a variable follows, so that the word is only the beginning of a name, as in `handover-$(uname -m)`.
fn words(script: &str) -> Vec<(String, bool)> {
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let is_exec = |line: &&str| line.split([' ', '\t', ';', '&', '|']).any(|word| word == "exec");
    let is_used = |name: &str| {
        let (plain, braced) = (format!("${name}"), format!("${{{name}}}"));
        lines.iter().filter(|line| is_exec(line)).any(|line| line.contains(&plain) || line.contains(&braced))
    };
    let is_assigned = |line: &&str| {
        let name = line.trim_start_matches("export ").split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace) && is_used(name))
    };
    let mut words = Vec::new();
    for line in lines.iter().filter(|line| is_exec(line) || is_assigned(line)) {
        let is_of_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
        let mut rest = *line;
        while let Some(start) = rest.find(is_of_name) {
            let word = &rest[start..];
            let end = word.find(|c| !is_of_name(c)).unwrap_or(word.len());
            let open = word[end..].starts_with(['$', '`']);
            // What is before a '/' is a folder.
            if word[..end].starts_with(NAME) && !word[end..].starts_with('/') {
                words.push((word[..end].to_owned(), open));
            }
            rest = &word[end..];
        }
    }
    words
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's files need not survive a power cut")]
mod tests {
    use super::*;

    fn bundle(files: &[(&str, &str)]) -> tempfile::TempDir {
        let bundle = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = bundle.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        bundle
    }

    const WRAPPER: &str = "#!/bin/sh\nexec \"$(dirname \"$0\")/handover-$(uname -m)\" \"$@\"\n";

    #[test]
    fn the_same_file_is_found_under_every_name() {
        let bundle =
            bundle(&[("bin/handover", "ELF"), ("smoke.sh", "#!/bin/sh\n# not handover\nexec true\n")]);
        std::os::unix::fs::symlink("bin/handover", bundle.path().join("run")).unwrap();
        let ourselves = Ourselves::executable(bundle.path(), "bin/handover");
        for location in
            ["bin/handover", "/bin/handover", "./bin/handover", "//bin/../bin/handover", "run", "/run"]
        {
            assert!(ourselves.run_at(location), "{location}");
            assert!(runs_handover(bundle.path(), location), "{location}");
        }
        for location in ["smoke.sh", "bin", "", "bin/hand", "../handover"] {
            assert!(!ourselves.run_at(location), "{location}");
        }
        assert!(!runs_handover(bundle.path(), "smoke.sh"));
    }

    #[test]
    fn a_script_starts_what_it_names_or_what_is_beside_it_under_its_own_name() {
        let by_variable = "#!/bin/sh\narch=$(uname -m)\nbin=${0%/*}/handover-${arch}\nexec \"$bin\"\n";
        let bundle = bundle(&[
            ("bin/handover-x86_64", "ELF"),
            ("bin/handover", "#!/bin/sh\nexec \"$0-$(uname -m)\"\n"),
            ("bin/handover.sh", WRAPPER),
            ("hook", by_variable),
            ("bin/smoke.sh", "#!/bin/sh\nhandover-x86_64 status\nurl=localhost\nexec curl $url\n"),
            ("handover.toml", ""),
            ("show.sh", "#!/bin/sh\nexec cat handover.toml\n"),
        ]);
        let ourselves = Ourselves::executable(bundle.path(), "bin/handover-x86_64");
        for location in ["bin/handover", "bin/handover.sh", "hook", "bin/handover-x86_64"] {
            assert!(ourselves.run_at(location) && runs_handover(bundle.path(), location), "{location}");
        }
        for location in ["bin/smoke.sh", "show.sh"] {
            assert!(!ourselves.run_at(location) && !runs_handover(bundle.path(), location), "{location}");
        }
    }
}
