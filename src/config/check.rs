//! Checks a configuration without deploying it: for every group, and not only up to the first mistake.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bundle_files::BundleFiles;
use super::diagnostic::Mistake;
use super::file::FROM;
use super::groups::Layers;
use super::mask::masked;
use super::merge::Effective;
use super::{Diagnostic, Settings, env_file, settings};
use crate::model::ImageName;

/// Tags that are usually moved from one image to the next.
const MOVING_TAGS: &[&str] = &[
    "latest",
    "main",
    "master",
    "trunk",
    "stable",
    "edge",
    "nightly",
    "dev",
    "develop",
    "test",
    "staging",
    "prod",
    "production",
];

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// What is wrong, or surprising.
    pub findings: Vec<Diagnostic>,
    /// The settings of each entry of `groups` that has no mistake.
    pub settings: Vec<(Option<String>, Settings)>,
}

/// Checks a configuration for every group that it is for.
pub(super) fn check(text: &str, origin: &str, files: &BundleFiles) -> Checked {
    let shown = masked(text);
    let located = |mistakes: Vec<Mistake>| mistakes.into_iter().map(|m| m.located(&shown, origin)).collect();
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Checked { findings: located(errors.iter().map(Mistake::from).collect()), settings: vec![] };
    }
    let layers = match Layers::of(table) {
        Ok(layers) => layers,
        Err(mistake) => return Checked { findings: located(vec![mistake]), settings: vec![] },
    };
    let entries = layers.entries();
    let mut found = MistakesByGroup::default();
    let mut all_settings = Vec::new();
    for entry in &entries {
        let (mistakes, settings) = match layers.effective(*entry) {
            Ok(effective) => check_effective(effective, text, files),
            Err(mistake) => (vec![mistake], None),
        };
        found.add(mistakes, entry.unwrap_or_default());
        all_settings.extend(settings.map(|settings| (entry.map(str::to_owned), settings)));
    }
    Checked { findings: located(found.into_mistakes(entries.len())), settings: all_settings }
}

/// Mistakes by the groups in which they were found: each is reported once.
#[derive(Debug, Default)]
pub(crate) struct MistakesByGroup(Vec<(Mistake, Vec<String>)>);

impl MistakesByGroup {
    /// Adds what was found for one group.
    pub(crate) fn add(&mut self, mistakes: Vec<Mistake>, group: &str) {
        for mistake in mistakes {
            match self.0.iter_mut().find(|(known, _)| *known == mistake) {
                Some((_, groups)) => groups.push(group.to_owned()),
                None => self.0.push((mistake, vec![group.to_owned()])),
            }
        }
    }

    /// All of them, in the order of the file. `groups` is how many groups were checked.
    pub(crate) fn into_mistakes(self, groups: usize) -> Vec<Mistake> {
        let with_note = |(mistake, names): (Mistake, Vec<String>)| {
            let note = (names.len() < groups).then(|| format!("in group {}", names.join(", ")));
            Mistake { note, ..mistake }
        };
        let mut mistakes: Vec<Mistake> = self.0.into_iter().map(with_note).collect();
        mistakes.sort_by_key(|mistake| mistake.span.start);
        mistakes
    }
}

/// Removes each wrong value and checks again. What is missing then is only a consequence, and not reported.
fn check_effective(
    mut effective: Effective<'_>,
    text: &str,
    files: &BundleFiles,
) -> (Vec<Mistake>, Option<Settings>) {
    let mut found = lints(&effective, files);
    let mut is_whole = true;
    loop {
        let mistake = match settings(&effective, files) {
            Ok(settings) => return (found, is_whole.then_some(settings)),
            Err(mistake) => mistake,
        };
        let was_removed = remove_value(effective.table.get_mut(), &mistake.span, text);
        if is_whole || was_removed {
            found.push(mistake);
        }
        is_whole = false;
        if !was_removed {
            return (found, None);
        }
    }
}

/// Removes the key or the value that a mistake is about.
fn remove_value(table: &mut DeTable<'_>, span: &Range<usize>, text: &str) -> bool {
    let is_it = |key: Range<usize>, value: &Spanned<DeValue<'_>>| {
        let place = value.span();
        let is_written_there = !value.get_ref().is_table() || text[place.clone()].starts_with('{');
        key == *span || (is_written_there && place.start <= span.start && span.end <= place.end)
    };
    let name =
        table.iter().find(|(key, value)| is_it(key.span(), value)).map(|(key, _)| key.get_ref().clone());
    if let Some(name) = name {
        table.remove(name.as_ref());
        return true;
    }
    table.iter_mut().any(|(_, value)| match value.get_mut() {
        DeValue::Table(table) => remove_value(table, span, text),
        _ => false,
    })
}

/// What works, but may not do what was expected, or should not be in a file.
fn lints(effective: &Effective<'_>, files: &BundleFiles) -> Vec<Mistake> {
    let root = effective.table.get_ref();
    let mut found = Vec::new();
    if let Some(image) = root.get("image").and_then(|image| image.get_ref().as_table()) {
        found.extend(moving_tag(&ImageName::default_image(), image, files));
        for (name, other) in image {
            if let (Ok(name), Some(other)) = (name.get_ref().parse(), other.get_ref().as_table()) {
                found.extend(moving_tag(&name, other, files));
            }
        }
    }
    let is_disposable = root.get("disposable").and_then(|flag| flag.get_ref().as_bool()) == Some(true);
    let secrets = root.get("secret").and_then(|secrets| secrets.get_ref().as_table());
    for (name, secret) in secrets.into_iter().flatten().filter(|_| !is_disposable) {
        if let Some((key, _)) = secret.get_ref().as_table().and_then(|table| table.get_key_value("literal")) {
            let what = format!("secret '{}' is written into the file", name.get_ref());
            found.push(Mistake::at(key.span(), what).help(
                "use 'id' or 'parameter', or set disposable = true in [group.NAME] if nothing there is worth protecting",
            ));
        }
    }
    let from = root.get("environment").and_then(|environment| environment.get_ref().get(FROM));
    for path in from.and_then(|from| from.get_ref().as_array()).into_iter().flatten() {
        if let Some(text) = path.get_ref().as_str() {
            found.extend(env_file::lints(&Spanned::new(path.span(), text.to_owned()), files));
        }
    }
    let processes = root.get("process").and_then(|processes| processes.get_ref().as_table());
    for (_, process) in processes.into_iter().flatten() {
        let volumes = process.get_ref().get("volumes").and_then(|volumes| volumes.get_ref().as_array());
        found.extend(volumes.into_iter().flatten().filter_map(|volume| named_like_a_part(volume, files)));
    }
    found
}

/// A tag of an image that may mean something else tomorrow, and of which the bundle does not say what it means.
fn moving_tag(name: &ImageName, image: &DeTable<'_>, files: &BundleFiles) -> Option<Mistake> {
    let tag = image.get("tag")?;
    let (span, text) = (tag.span(), tag.get_ref().as_str()?);
    let is_local = image.get("local").and_then(|local| local.get_ref().as_bool()) == Some(true);
    if is_local || !MOVING_TAGS.contains(&text) || files.pins(name, text) {
        return None;
    }
    let what = format!("tag '{text}' can move: a later deployment of this bundle may run another image");
    let help = "pin it where the bundle is made (handover pin), or use a tag that never moves, such as the commit's hash";
    Some(Mistake::warning(span, what).help(help))
}

/// A volume of Docker's that is called like a folder of the bundle: most likely that is meant.
fn named_like_a_part(volume: &Spanned<DeValue<'_>>, files: &BundleFiles) -> Option<Mistake> {
    let (name, _) = volume.get_ref().as_str()?.split_once(':')?;
    if name.contains('/') || files.find(&Spanned::new(volume.span(), name.to_owned())).is_err() {
        return None;
    }
    let what = format!("'{name}' is a volume of Docker's here, and not '{name}' of the bundle");
    Some(Mistake::warning(volume.span(), what).help(format!("for that write \"./{name}:/PATH\"")))
}

#[cfg(test)]
mod tests {
    use super::{BundleFiles, Checked};

    fn check(text: &str, origin: &str) -> Checked {
        super::check(text, origin, &BundleFiles::none())
    }

    fn headlines(text: &str) -> Vec<String> {
        check(text, "f").findings.into_iter().map(|finding| finding.headline).collect()
    }

    const GOOD: &str = "app = 'a'\nimage = { repository = 'r', tag = 'v1' }\nprocess.web.memory = '1g'\n";

    #[test]
    fn everything_that_is_wrong_is_found_and_nothing_that_follows_from_it() {
        assert_eq!(headlines(GOOD), [] as [&str; 0]);
        let text = "app = 'A B'\nimag = {}\n[image]\nrepository = 'r'\ntag = 'v'\n[process.web]\nmemory = 'x'\nmemroy = 1\n";
        let found = headlines(text);
        let places: Vec<&str> =
            found.iter().map(|line| line.split(": ").next().unwrap_or_default()).collect();
        assert_eq!(places, ["f:1:7", "f:2:1", "f:7:10", "f:8:1"], "{found:#?}");
        let table = GOOD.replace("process.web.memory", "process.web.health.port");
        let found = headlines(&format!("{table}process.worker.command = []\n"));
        assert_eq!(found.len(), 2, "{found:#?}");
    }

    #[test]
    fn a_mistake_of_every_group_is_reported_once_and_any_other_with_its_group() {
        let text = format!(
            "groups = ['test', 'production']\n{GOOD}process.web.publsh = []\n[group.test]\nprocess.web.order = 'no'\n"
        );
        let checked = check(&text, "f");
        let shown: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown[0].contains("unknown key 'publsh'") && !shown[0].contains("in group"), "{}", shown[0]);
        assert!(
            shown[1].contains("'no' is not an order") && shown[1].contains("in group test"),
            "{}",
            shown[1]
        );
    }

    #[test]
    fn secrets_are_written_down_in_disposable_groups_only_and_never_shown() {
        let text = format!(
            "groups = ['test', 'production']\n{GOOD}secret.x = {{ literal = {{ password = 'hunter2' }} }}\n[group.test]\ndisposable = true\n"
        );
        let findings =
            |text: &str| check(text, "f").findings.iter().map(ToString::to_string).collect::<String>();
        let shown = findings(&text);
        assert!(
            shown.contains("secret 'x' is written into the file") && shown.contains("in group production"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        let shown = findings(&text.replace("['test', 'production']", "['test']"));
        assert!(!shown.contains("is written into the file"), "{shown}");
    }

    #[test]
    fn a_volume_that_is_called_like_a_folder_of_the_bundle_surprises() {
        let bundle = tempfile::tempdir().unwrap();
        std::fs::create_dir(bundle.path().join("conf")).unwrap();
        let text = format!("{GOOD}process.web.volumes = ['conf:/a', 'data:/b', './conf:/c']\n");
        let checked = super::check(&text, "f", &BundleFiles::unpinned(bundle.path()));
        let found: Vec<&str> = checked.findings.iter().map(|finding| finding.headline.as_str()).collect();
        assert_eq!(found, ["f:4:24: 'conf' is a volume of Docker's here, and not 'conf' of the bundle"]);
        assert_eq!(
            (checked.findings[0].severity, checked.settings.len()),
            (super::super::Severity::Warning, 1)
        );
    }

    #[test]
    fn a_tag_that_moves_surprises_without_being_an_error() {
        let checked = check(&GOOD.replace("'v1'", "'latest'"), "f");
        assert_eq!(checked.findings.len(), 1);
        assert_eq!(
            (checked.findings[0].severity, checked.settings.len()),
            (super::super::Severity::Warning, 1)
        );
    }
}
