//! The file that a `location` names: whether it is there, executable, and in our own case a binary that runs anywhere.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use elf::ElfBytes;
use elf::abi::{EM_AARCH64, EM_X86_64, PT_INTERP};
use elf::endian::AnyEndian;

use crate::codedeploy::appspec::is_ours;
use crate::config::diagnostic::Mistake;

/// Checks the file at `path` in the bundle. `place` is where `appspec.yml` names it, `ours` our own path.
pub(super) fn check(bundle: &Path, path: &str, ours: &str, place: &Range<usize>) -> Vec<Mistake> {
    let error = |what: String, help: &str| vec![Mistake::at(place.clone(), what).help(help)];
    if Path::new(path).components().any(|part| matches!(part, Component::ParentDir | Component::RootDir)) {
        return error(format!("'{path}' leads out of the bundle"), "write a path inside");
    }
    let file = bundle.join(path);
    if path.contains(char::is_whitespace) {
        return match path.split_whitespace().next() {
            Some(first) if !file.exists() && bundle.join(first).exists() => error(
                format!("CodeDeploy passes no arguments: it would look for a file '{path}'"),
                "write the path alone",
            ),
            _ => error(
                format!("'{path}' would go through a shell, which splits it at its spaces"),
                "rename it",
            ),
        };
    }
    let Ok(meta) = file.metadata() else {
        return error(
            format!("'{path}' is not in the bundle"),
            "CodeDeploy would fail with 'Script does not exist'",
        );
    };
    if !meta.is_file() {
        return error(format!("'{path}' is not a file"), "write the path of a script or a binary");
    }
    let mut found = Vec::new();
    if meta.permissions().mode() & 0o100 == 0 {
        let what = format!("'{path}' is not executable: only CodeDeploy's agent makes it so");
        found.push(Mistake::warning(place.clone(), what).help("chmod +x"));
    }
    if is_ours(path, ours) {
        for binary in binaries(&file) {
            let name = binary.strip_prefix(bundle).unwrap_or(&binary).display().to_string();
            found.extend(unfit(&binary).map(|unfit| unfit.mistake(&name, place.clone())));
        }
    }
    found
}

/// The file itself, or the binaries from which a script picks: `bin/handover-x86_64` beside `bin/handover`.
fn binaries(file: &Path) -> Vec<PathBuf> {
    let is_script = std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"#!"));
    if !is_script {
        return vec![file.to_owned()];
    }
    let prefix = format!("{}-", file.file_name().unwrap_or_default().to_string_lossy());
    let beside = file.parent().and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let named = beside.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    let mut binaries: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    binaries.sort();
    binaries
}

/// Why a binary does not run on every instance.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Unreadable,
    NoBinary,
    OtherMachine,
    Dynamic,
}

impl Unfit {
    fn mistake(self, name: &str, place: Range<usize>) -> Mistake {
        match self {
            Self::Unreadable => Mistake::at(place, format!("'{name}' cannot be read")),
            Self::NoBinary => Mistake::at(place, format!("'{name}' is neither a Linux binary nor a script"))
                .help("put a released binary of handover there"),
            Self::OtherMachine => {
                Mistake::at(place, format!("'{name}' is built for an architecture that EC2 does not have"))
                    .help("put a released binary of handover there")
            }
            Self::Dynamic => Mistake::warning(
                place,
                format!("'{name}' is not static: it runs only where its C library is installed"),
            )
            .help("put a released binary of handover there"),
        }
    }
}

fn unfit(binary: &Path) -> Option<Unfit> {
    match std::fs::read(binary) {
        Ok(bytes) => unfit_bytes(&bytes),
        Err(_) => Some(Unfit::Unreadable),
    }
}

fn unfit_bytes(bytes: &[u8]) -> Option<Unfit> {
    let Ok(binary) = ElfBytes::<AnyEndian>::minimal_parse(bytes) else { return Some(Unfit::NoBinary) };
    if ![EM_X86_64, EM_AARCH64].contains(&binary.ehdr.e_machine) {
        return Some(Unfit::OtherMachine);
    }
    // A static-pie has a dynamic section, too; only who needs a loader names one.
    let needs_a_loader = binary.segments().is_some_and(|all| all.iter().any(|s| s.p_type == PT_INTERP));
    needs_a_loader.then_some(Unfit::Dynamic)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little-endian 64-bit ELF header with one program header of this type.
    fn elf(machine: u16, segment: u32) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([2, 0]);
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(64_u64.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 1, 0, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(segment.to_le_bytes());
        bytes.extend([0; 52]);
        bytes
    }

    #[test]
    fn only_a_static_binary_of_ec2_runs_everywhere() {
        const PT_LOAD: u32 = 1;
        const EM_386: u16 = 3;
        assert_eq!(unfit_bytes(&elf(EM_X86_64, PT_LOAD)), None);
        assert_eq!(unfit_bytes(&elf(EM_AARCH64, PT_LOAD)), None);
        assert_eq!(unfit_bytes(&elf(EM_X86_64, PT_INTERP)), Some(Unfit::Dynamic));
        assert_eq!(unfit_bytes(&elf(EM_386, PT_LOAD)), Some(Unfit::OtherMachine));
        assert_eq!(unfit_bytes(b"\xcf\xfa\xed\xfe, a binary of macOS"), Some(Unfit::NoBinary));
        assert_eq!(unfit_bytes(b""), Some(Unfit::NoBinary));
    }
}
