//! The Install step's copying (contract 1.9).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::appspec::AppSpec;

/// What Install does with a file that it did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileExists {
    /// Fail.
    #[default]
    Disallow,
    /// Copy over it.
    Overwrite,
    /// Leave it.
    Retain,
}

impl FromStr for FileExists {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "DISALLOW" => Ok(Self::Disallow),
            "OVERWRITE" => Ok(Self::Overwrite),
            "RETAIN" => Ok(Self::Retain),
            _ => Err(format!(
                "The deployment failed because an invalid option was specified for fileExistsBehavior: {text}. Valid \
                 options include OVERWRITE, RETAIN, and DISALLOW."
            )),
        }
    }
}

/// One step of the instructions, as they stand in `<group>-install.json`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Step {
    Mkdir { directory: PathBuf },
    Copy { source: PathBuf, destination: PathBuf },
}

/// Remove what this group's previous Install made, then copy. Between the two the files do not exist.
pub(crate) fn run(
    instructions: &Path,
    group_id: &str,
    archive: &Path,
    spec: &AppSpec,
    option: FileExists,
) -> Result<()> {
    if spec.has_permissions {
        bail!("this simulator does not apply the permissions section of the AppSpec file");
    }
    fs::create_dir_all(instructions)?;
    let cleanup = instructions.join(format!("{group_id}-cleanup"));
    remove_previous(&cleanup)?;
    let behavior = spec.file_exists.unwrap_or(option);
    let mut plan = Plan { behavior, steps: Vec::new() };
    for mapping in &spec.files {
        let source = archive.join(mapping.source.trim_start_matches('/'));
        if source.is_dir() && !source.is_symlink() {
            plan.ancestors(&mapping.destination);
            plan.directory(&source, &mapping.destination)?;
        } else {
            let name = source.file_name().with_context(|| format!("{} has no name", source.display()))?;
            let destination = mapping.destination.join(name);
            plan.ancestors(&destination);
            plan.file(source.clone(), destination)?;
        }
    }
    let json = serde_json::json!({ "instructions": plan.steps }).to_string();
    fs::write(instructions.join(format!("{group_id}-install.json")), json)?;
    // The list grows with the work: a crash leaves it half written.
    let mut list = File::create(&cleanup)?;
    for step in &plan.steps {
        match step {
            Step::Mkdir { directory } => {
                fs::create_dir(directory).with_context(|| directory.display().to_string())?;
                writeln!(list, "{}", directory.display())?;
            }
            Step::Copy { source, destination } => {
                writeln!(list, "{}", destination.display())?;
                copy(source, destination).with_context(|| destination.display().to_string())?;
            }
        }
    }
    Ok(())
}

/// In reverse order; directories only when they are empty.
fn remove_previous(cleanup: &Path) -> io::Result<()> {
    let Ok(list) = fs::read_to_string(cleanup) else { return Ok(()) };
    for path in list.lines().rev().map(Path::new) {
        if path.is_symlink() || path.is_file() {
            fs::remove_file(path)?;
        } else if path.is_dir() {
            // Not empty: somebody else's files are in it.
            let _ = fs::remove_dir(path);
        }
    }
    fs::remove_file(cleanup)
}

/// Copying over a program that runs fails with `ETXTBSY`, as it does in the agent.
fn copy(source: &Path, destination: &Path) -> io::Result<()> {
    if source.is_symlink() {
        return symlink(fs::read_link(source)?, destination);
    }
    fs::copy(source, destination).map(drop)
}

struct Plan {
    behavior: FileExists,
    steps: Vec<Step>,
}

impl Plan {
    fn ancestors(&mut self, destination: &Path) {
        let missing: Vec<&Path> = destination.ancestors().skip(1).take_while(|dir| !dir.exists()).collect();
        for directory in missing.into_iter().rev() {
            self.mkdir(directory);
        }
    }

    fn mkdir(&mut self, directory: &Path) {
        let planned = |step: &Step| matches!(step, Step::Mkdir { directory: other } if other == directory);
        if !directory.is_dir() && !self.steps.iter().any(planned) {
            self.steps.push(Step::Mkdir { directory: directory.to_owned() });
        }
    }

    fn directory(&mut self, source: &Path, destination: &Path) -> Result<()> {
        self.mkdir(destination);
        for entry in fs::read_dir(source)? {
            let path = entry?.path();
            let target = destination.join(path.file_name().unwrap_or_default());
            if path.is_dir() && !path.is_symlink() {
                self.directory(&path, &target)?;
            } else {
                self.file(path, target)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, source: PathBuf, destination: PathBuf) -> Result<()> {
        match self.behavior {
            FileExists::Disallow if destination.exists() => bail!(
                "The deployment failed because a specified file already exists at this location: {}",
                destination.display()
            ),
            FileExists::Retain if destination.exists() => {}
            _ => self.steps.push(Step::Copy { source, destination }),
        }
        Ok(())
    }
}
