//! `[environment]` and `[file."/path"]`, checked: what the containers are given.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use toml::Spanned;

use super::bundle_files::BundleFiles;
use super::diagnostic::Mistake;
use super::secret::SecretSource;
use super::{env_file, file};
use crate::suggest::nearest;
use crate::template;

/// The value of an environment variable.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// As it is.
    Literal(String),
    /// A field of a secret.
    Secret {
        /// The secret's name in this file.
        secret: String,
        /// Its field.
        field: String,
        /// The value when the secret has no such field.
        default: Option<String>,
    },
    /// Rendered with every secret as a variable.
    Template(String),
}

/// A file that is rendered and bind-mounted into the containers, read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSource {
    /// The template's path in the bundle.
    pub template: String,
    /// Its text.
    pub text: String,
    /// The owner of the file; root when none is given.
    pub owner: Option<Owner>,
    /// Its permissions.
    pub mode: u32,
}

/// The numbers of a user and of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The user.
    pub user: u32,
    /// The group; as with chown, root's when only a user is named.
    pub group: u32,
}

/// A container may run as any user, who has to be able to read it. On the host only root can enter the folder.
const MODE: u32 = 0o444;

pub(super) type Secrets = BTreeMap<String, SecretSource>;

/// Every variable: those of the table, and below them those of the files that it names, the last of them first.
pub(super) fn variables(
    written: file::Environment,
    secrets: &Secrets,
    files: &BundleFiles,
) -> Result<BTreeMap<String, Value>, Mistake> {
    let mut all = BTreeMap::new();
    for path in written.from {
        let read = env_file::read(&path, files)?;
        all.extend(read.into_iter().map(|variable| (variable.name, Value::Literal(variable.value))));
    }
    for (name, value) in written.variables {
        all.insert(variable_name(name)?, variable(value, secrets)?);
    }
    Ok(all)
}

fn variable_name(name: Spanned<String>) -> Result<String, Mistake> {
    let text = name.get_ref();
    if text.is_empty() || text.contains(['=', '\0']) {
        return Err(Mistake::at(
            name.span(),
            format!("'{text}' cannot be the name of an environment variable"),
        ));
    }
    Ok(name.into_inner())
}

fn variable(value: Spanned<file::Value>, secrets: &Secrets) -> Result<Value, Mistake> {
    let span = value.span();
    let without_nul = |text: &str| {
        let nul = || Mistake::at(span.clone(), "an environment variable cannot contain a NUL character");
        if text.contains('\0') { Err(nul()) } else { Ok(()) }
    };
    match value.into_inner() {
        file::Value::Literal(text) => without_nul(&text).map(|()| Value::Literal(text)),
        file::Value::Secret(file::FromSecret { secret, default }) => {
            let Some((name, field)) = secret.split_once('.') else {
                return Err(Mistake::at(span, format!("'{secret}' does not say which field"))
                    .help(format!("write \"{secret}.FIELD\", such as \"{secret}.password\"")));
            };
            known(name, secrets, &span)?;
            without_nul(default.as_deref().unwrap_or_default())?;
            Ok(Value::Secret { secret: name.to_owned(), field: field.to_owned(), default })
        }
        file::Value::Template(file::FromTemplate { template }) => {
            check(&template, secrets, &span, "this template")?;
            Ok(Value::Template(template))
        }
    }
}

/// A template that cannot be right is refused before anything else is done.
fn check(text: &str, secrets: &Secrets, span: &Range<usize>, called: &str) -> Result<(), Mistake> {
    let names = template::check(text).map_err(|wrong| {
        let place = wrong.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let mistake = Mistake::at(span.clone(), format!("{called}{place}: {}", wrong.what));
        match wrong.unknown {
            Some((word, known)) => mistake.help(nearest(&word, known)),
            None => mistake,
        }
    })?;
    names.iter().try_for_each(|name| known(name, secrets, span))
}

/// A secret that something names is there.
pub(super) fn known(name: &str, secrets: &Secrets, span: &Range<usize>) -> Result<(), Mistake> {
    if secrets.contains_key(name) {
        return Ok(());
    }
    let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
    let help = if names.is_empty() { format!("add a table [secret.{name}]") } else { nearest(name, &names) };
    Err(Mistake::at(span.clone(), format!("there is no secret '{name}'")).help(help))
}

/// Every `[file."/path"]`, by its path in the containers.
pub(super) fn rendered_files(
    written: BTreeMap<Spanned<String>, file::Rendered>,
    secrets: &Secrets,
    bundle: &BundleFiles,
) -> Result<BTreeMap<String, FileSource>, Mistake> {
    let mut files: BTreeMap<String, FileSource> = BTreeMap::new();
    for (path, rendered) in written {
        let span = path.span();
        check_path(&path)?;
        if let Some(outer) = files.keys().find(|outer| Path::new(path.get_ref()).starts_with(outer)) {
            return Err(Mistake::at(span, format!("'{outer}' is a file, so nothing can be below it")));
        }
        files.insert(path.into_inner(), file_source(rendered, secrets, bundle)?);
    }
    Ok(files)
}

fn check_path(path: &Spanned<String>) -> Result<(), Mistake> {
    let text = path.get_ref();
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    match text.strip_prefix('/') {
        Some(rest) if rest.split('/').all(is_part) && !text.contains('\0') => Ok(()),
        _ => Err(Mistake::at(path.span(), format!("'{text}' is not the path of a file in a container"))
            .help("write an absolute path without '.', '..' and double slashes")),
    }
}

fn file_source(file: file::Rendered, secrets: &Secrets, files: &BundleFiles) -> Result<FileSource, Mistake> {
    let text = files.template(&file.template)?;
    check(&text, secrets, &file.template.span(), file.template.get_ref())?;
    Ok(FileSource {
        template: file.template.into_inner(),
        text,
        owner: file.owner.map(owner).transpose()?,
        mode: file.mode.map_or(Ok(MODE), mode)?,
    })
}

fn owner(owner: Spanned<file::Owner>) -> Result<Owner, Mistake> {
    let text = match owner.get_ref() {
        file::Owner::User(user) => user.to_string(),
        file::Owner::Both(text) => text.clone(),
    };
    let (user, group) = text.split_once(':').unwrap_or((&text, "0"));
    match (user.parse(), group.parse()) {
        (Ok(user), Ok(group)) => Ok(Owner { user, group }),
        _ => Err(Mistake::at(owner.span(), format!("'{text}' is not an owner"))
            .help("write numbers, because names differ between host and image: 999 or \"999:999\"")),
    }
}

fn mode(mode: Spanned<String>) -> Result<u32, Mistake> {
    let text = mode.get_ref();
    let wrong = |what: &str| Mistake::at(mode.span(), format!("'{text}' {what}"));
    let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(text, 8) {
        Ok(bits) if is_octal && bits <= 0o777 && bits & 0o444 != 0 => Ok(bits),
        Ok(bits) if is_octal && bits <= 0o777 => {
            Err(wrong("lets nobody read the file").help("write \"0400\" for its owner alone"))
        }
        _ => Err(wrong("is not a mode").help("write it in octal, such as \"0400\"")),
    }
}
