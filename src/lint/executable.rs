//! The file that a `location` names: whether it is there, executable, and in our own case a binary that runs anywhere.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use elf::ElfBytes;
use elf::abi::{EM_AARCH64, EM_X86_64, PT_INTERP};
use elf::endian::AnyEndian;

use super::start;
use crate::codedeploy::appspec::location::{below, is_named, is_script, runs_handover, started_by};
use crate::config::diagnostic::Mistake;

/// Checks the file at a location. `place` is where `appspec.yml` names it.
pub(super) fn check(bundle: &Path, location: &str, place: &Range<usize>) -> Vec<Mistake> {
    let error = |what: String, help: &str| vec![Mistake::at(place.clone(), what).help(help)];
    let path = below(location);
    let file = bundle.join(path);
    // What 1.8 runs by a shell, which takes these for its own; 2.x starts it as it is.
    if path.contains(|c: char| c.is_whitespace() || "'\"`$\\&|;<>()".contains(c)) {
        return match path.split_whitespace().next() {
            Some(first) if !file.exists() && bundle.join(first).exists() => error(
                format!("CodeDeploy passes no arguments: it would look for a file '{location}'"),
                "write the path alone",
            ),
            _ => error(
                format!("CodeDeploy's agent 1.8 runs '{location}' through a shell, which splits it"),
                "give the file a name without blanks and signs",
            ),
        };
    }
    let Ok(real) = file.canonicalize() else {
        let what = if file.is_symlink() { "is a link that leads to nothing" } else { "is not in the bundle" };
        return error(
            format!("'{location}' {what}"),
            "both of CodeDeploy's agents would fail with 'Script does not exist'",
        );
    };
    let inside = bundle.canonicalize().is_ok_and(|bundle| real.starts_with(bundle));
    if !inside {
        return error(format!("'{location}' leads out of the bundle"), "write a path inside");
    }
    if !real.is_file() {
        return error(format!("'{location}' is not a file"), "write the path of a script or a binary");
    }
    let mut found = Vec::new();
    let is_executable = real.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0);
    if !is_executable {
        let what = format!("'{location}' is not executable: only CodeDeploy's agent makes it so");
        found.push(Mistake::warning(place.clone(), what).help("chmod +x"));
    }
    let bytes = std::fs::read(&real).unwrap_or_default();
    let is_text = std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains('\0'));
    if runs_handover(bundle, location) && !is_text {
        found.extend(unfit(&real).map(|unfit| unfit.mistake(location, place.clone())));
        return found;
    }
    if let Err((what, help)) = start::check(&bytes) {
        found.push(Mistake::at(place.clone(), format!("'{location}' {what}")).help(help));
    }
    let is_ours = runs_handover(bundle, location);
    for binary in started_by(bundle, &real).into_iter().filter(|binary| is_named(binary)) {
        let name = binary.strip_prefix(bundle.canonicalize().unwrap_or_default()).unwrap_or(&binary);
        found.extend(unfit(&binary).map(|unfit| unfit.mistake(&name.display().to_string(), place.clone())));
    }
    if is_named(Path::new(path)) && is_script(&real) && !is_ours {
        let what =
            format!("'{location}' is a script, and it cannot be seen which binary of handover it starts");
        found.push(
            Mistake::at(place.clone(), what).help("let it 'exec' one beside it, such as handover-x86_64"),
        );
    }
    found
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
