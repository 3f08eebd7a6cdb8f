//! Applies a table `[group.NAME]` to the rest of the file.
//!
//! Tables merge; what is a unit is replaced whole: arrays, and each `secret.NAME`, `check.NAME`, `file.NAME` and variable
//! of the environment. `false` removes. Every value keeps its place in the text, so that a later mistake is shown where the
//! value was written.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Mistake;
use crate::suggest::nearest;

/// The tables whose members are units.
const OF_UNITS: &[&str] = &["secret", "check", "file", "environment"];

/// The tables whose members may have such tables of their own.
const OF_CONTAINERS: &[&str] = &["process", "task", "service"];

/// Keys that are the same for all groups.
const NOT_IN_A_GROUP: &[&str] = &["app", "groups", "group"];

/// The file as one group gets it.
#[derive(Debug, Clone)]
pub(super) struct Effective<'t> {
    /// Everything that applies to the group.
    pub(super) table: Spanned<DeTable<'t>>,
    /// The entry of `groups` that it is for.
    pub(super) entry: Option<String>,
    /// What the group removed.
    pub(super) removed: Vec<Removed>,
    /// Where each value starts that the group set.
    set_by_group: BTreeSet<usize>,
    /// Each `false` that replaces nothing: the value of a switch, or an attempt to remove what is not there.
    doubtful: Vec<Doubtful>,
}

/// Something that a group removed.
#[derive(Debug, Clone)]
pub(super) struct Removed {
    /// The keys that lead to it.
    pub(super) path: Vec<String>,
    /// The `false`.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone)]
struct Doubtful {
    name: String,
    span: Range<usize>,
    /// The other keys of the table: one of them may have been meant.
    beside: Vec<String>,
}

impl<'t> Effective<'t> {
    /// Applies a group's table to the rest.
    pub(super) fn of(
        base: Spanned<DeTable<'t>>,
        entry: Option<&str>,
        over: DeTable<'t>,
    ) -> Result<Self, Mistake> {
        if let Some((key, _)) = over.iter().find(|(key, _)| NOT_IN_A_GROUP.contains(&key.get_ref().as_ref()))
        {
            return Err(Mistake::at(key.span(), format!("'{}' cannot be set in a group", key.get_ref()))
                .help("it is the same for all groups: set it at the top"));
        }
        let mut effective = Self {
            table: Spanned::new(base.span(), DeTable::new()),
            entry: entry.map(str::to_owned),
            removed: vec![],
            set_by_group: BTreeSet::new(),
            doubtful: vec![],
        };
        let mut table = base.into_inner();
        effective.merge(&mut table, over, &[]);
        *effective.table.get_mut() = table;
        Ok(effective)
    }

    /// Whether the group set a value.
    pub(super) fn is_set_by_group(&self, value: &Spanned<DeValue<'_>>) -> bool {
        self.set_by_group.contains(&value.span().start)
    }

    /// Explains a mistake by the merge: a `false` of the wrong type was meant to remove something, and what is missing may
    /// have been removed.
    pub(super) fn explain(&self, mistake: Mistake) -> Mistake {
        let Some(doubtful) = self.doubtful.iter().find(|doubtful| doubtful.span == mistake.span) else {
            let names_it = |key: &String| mistake.what.contains(&format!("'{key}'"));
            let is_removed = self.removed.iter().any(|removed| removed.path.last().is_some_and(names_it));
            return match &self.entry {
                Some(entry) if is_removed => mistake.help(format!("[group.{entry}] removes it")),
                _ => mistake,
            };
        };
        let beside: Vec<&str> = doubtful.beside.iter().map(String::as_str).collect();
        let help =
            if beside.is_empty() { "leave it out".to_owned() } else { nearest(&doubtful.name, &beside) };
        Mistake::at(mistake.span, format!("there is no '{}' to remove", doubtful.name)).help(help)
    }

    fn merge(&mut self, base: &mut DeTable<'t>, over: DeTable<'t>, path: &[String]) {
        let table = match path {
            [table] => Some(table),
            [of, _, table] if OF_CONTAINERS.contains(&of.as_str()) => Some(table),
            _ => None,
        };
        let of_units = table.is_some_and(|table| OF_UNITS.contains(&table.as_str()));
        for (key, value) in over {
            let name = key.get_ref().clone().into_owned();
            let path = [path, std::slice::from_ref(&name)].concat();
            let span = value.span();
            match (base.get_mut(name.as_str()).map(Spanned::get_mut), value.into_inner()) {
                (Some(DeValue::Table(below)), DeValue::Table(above)) if !of_units => {
                    self.merge(below, above, &path);
                }
                (Some(below), DeValue::Boolean(false)) if !below.is_bool() => {
                    base.remove(name.as_str());
                    self.removed.push(Removed { path, span });
                }
                (below, value) => {
                    if below.is_none() && value.as_bool() == Some(false) {
                        let beside = base.keys().map(|key| key.get_ref().clone().into_owned()).collect();
                        self.doubtful.push(Doubtful { name: name.clone(), span: span.clone(), beside });
                    }
                    let value = Spanned::new(span, value);
                    self.note(&value);
                    // The old key would stay with its place.
                    base.remove(name.as_str());
                    base.insert(key, value);
                }
            }
        }
    }

    fn note(&mut self, value: &Spanned<DeValue<'_>>) {
        self.set_by_group.insert(value.span().start);
        for value in value.get_ref().as_table().into_iter().flat_map(DeTable::values) {
            self.note(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::config::bundle_files::BundleFiles;
    use crate::config::groups::{Layers, RequestedGroup};
    use crate::config::{Settings, settings};

    const BASE: &str = r#"app = "status-page"
groups = ["test", "production-*"]
[image]
repository = "status-page"
tag = "v1"
[secret.database]
id = "prod/database"
fields = { host = "db.internal" }
[environment]
LEVEL = "INFO"
HOST = { secret = "database.host", default = "localhost" }
[process.web]
command = ["serve", "--quiet"]
memory = "512m"
[process.web.health]
tcp = true
port = 8000
interval = "2s"
"#;

    fn with(group: &str) -> Result<Settings, String> {
        let text = format!("{BASE}[group.test]\n{group}\n");
        let root = DeTable::parse(&text).unwrap();
        let layers =
            Layers::of(root).map_err(|mistake| mistake.located(&text, "handover.toml").to_string())?;
        layers
            .effective(layers.entry_for(RequestedGroup::Hook(Some("test"))).unwrap())
            .and_then(|effective| settings(&effective, &BundleFiles::none()))
            .map_err(|mistake| mistake.located(&text, "handover.toml").to_string())
    }

    fn web(settings: &Settings) -> &crate::config::settings::Process {
        settings.processes.values().next().unwrap()
    }

    #[test]
    fn tables_merge() {
        let merged = with("process.web.memory = '256m'\nimage.tag = 'v2'").unwrap();
        assert_eq!(web(&merged).workload.memory.unwrap().0, 256 << 20);
        assert_eq!(web(&merged).workload.command.as_ref().unwrap(), &["serve", "--quiet"]);
        assert_eq!((merged.default_image().tag.as_str(), web(&merged).health.interval.as_secs()), ("v2", 2));
    }

    #[test]
    fn units_and_arrays_are_replaced_whole() {
        let merged = with(
            "secret.database = { id = 'test/database' }\nenvironment.HOST = { secret = 'database.host' }\nprocess.web.command = ['serve']",
        )
        .unwrap();
        assert!(merged.secrets["database"].fields().is_empty());
        assert!(matches!(
            &merged.environment["HOST"],
            crate::config::settings::Value::Secret { default: None, .. }
        ));
        assert_eq!(web(&merged).workload.command.as_ref().unwrap(), &["serve"]);
    }

    #[test]
    fn false_removes_a_table_or_a_key() {
        let merged =
            with("environment.HOST = false\nsecret.database = false\nprocess.web.memory = false").unwrap();
        assert!(merged.secrets.is_empty() && !merged.environment.contains_key("HOST"));
        assert_eq!(web(&merged).workload.memory, None);
        let merged = with("process.web.health = false").unwrap();
        assert_eq!(web(&merged).health.interval.as_secs(), 1);
    }

    #[test]
    fn false_is_the_value_of_a_switch() {
        let merged = with("process.web.health.tcp = false").unwrap();
        assert_eq!(web(&merged).health.probe, crate::model::Probe::Running);
        assert!(!with("disposable = false\nprocess.web.health.docker = false").unwrap().disposable);
        assert!(with("disposable = true").unwrap().disposable);
    }

    #[test]
    fn what_was_removed_is_missing_where_it_is_needed() {
        assert_snapshot!(with("secret.database = false").unwrap_err(), @r#"
        error: there is no secret 'database'
          --> handover.toml:11:8
           |
        11 | HOST = { secret = "database.host", default = "localhost" }
           |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ [group.test] removes it
        "#);
    }

    #[test]
    fn nothing_cannot_be_removed() {
        assert_snapshot!(with("secret.databse = false").unwrap_err(), @r"
        error: there is no 'databse' to remove
          --> handover.toml:20:18
           |
        20 | secret.databse = false
           |                  ^^^^^ did you mean 'database'?
        ");
        assert_snapshot!(with("process.web.stop-timeout = false").unwrap_err(), @r"
        error: there is no 'stop-timeout' to remove
          --> handover.toml:20:28
           |
        20 | process.web.stop-timeout = false
           |                            ^^^^^ known here: command, health, memory
        ");
        assert_snapshot!(with("environment.LEVL = false").unwrap_err(), @r"
        error: there is no 'LEVL' to remove
          --> handover.toml:20:20
           |
        20 | environment.LEVL = false
           |                    ^^^^^ did you mean 'LEVEL'?
        ");
    }

    #[test]
    fn what_is_the_same_for_all_groups_stays_out_of_them() {
        assert_snapshot!(with("app = 'other'").unwrap_err(), @r"
        error: 'app' cannot be set in a group
          --> handover.toml:20:1
           |
        20 | app = 'other'
           | ^^^ it is the same for all groups: set it at the top
        ");
        assert!(with("groups = ['other']").unwrap_err().contains("'groups' cannot be set in a group"));
        assert!(with("group.other = {}").unwrap_err().contains("'group' cannot be set in a group"));
    }

    #[test]
    fn mistakes_are_shown_in_the_groups_table() {
        assert_snapshot!(with("process.web.memory = 'half'").unwrap_err(), @r#"
        error: 'half' is not an amount of memory: write a number and b, k, m or g, such as "512m"
          --> handover.toml:20:22
           |
        20 | process.web.memory = 'half'
           |                      ^^^^^^ here
        "#);
        assert_snapshot!(with("process.web.memroy = '1g'").unwrap_err(), @r"
        error: unknown key 'memroy'
          --> handover.toml:20:13
           |
        20 | process.web.memroy = '1g'
           |             ^^^^^^ did you mean 'memory'?
        ");
        assert_snapshot!(with("environment.URL = { secret = 'databse.host' }").unwrap_err(), @r"
        error: there is no secret 'databse'
          --> handover.toml:20:19
           |
        20 | environment.URL = { secret = 'databse.host' }
           |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean 'database'?
        ");
    }

    proptest! {
        #[test]
        fn what_is_not_overridden_is_kept(
            base in proptest::collection::btree_map("[A-D]{1,2}", "[a-z]{0,3}", 0..8),
            over in proptest::collection::btree_map("[A-D]{1,2}", proptest::option::of("[a-z]{0,3}"), 0..8),
        ) {
            // Without a value it is removed; what is not there cannot be.
            let over: Vec<_> = over.iter().filter(|(key, value)| value.is_some() || base.contains_key(*key)).collect();
            let lines = |lines: Vec<String>| lines.join("\n");
            let text = format!(
                "app = 'a'\ngroups = ['g']\nimage = {{ repository = 'r', tag = 't' }}\n[environment]\n{}\n[process.web]\n[group.g.environment]\n{}\n",
                lines(base.iter().map(|(key, value)| format!("{key} = '{value}'")).collect()),
                lines(over.iter().map(|(key, value)| match value {
                    Some(value) => format!("{key} = '{value}'"),
                    None => format!("{key} = false"),
                }).collect()),
            );
            let layers = Layers::of(DeTable::parse(&text).unwrap()).unwrap();
            let merged = settings(&layers.effective(Some("g")).unwrap(), &BundleFiles::none()).unwrap().environment;
            let mut expected = base.clone();
            for (key, value) in over {
                match value {
                    Some(value) => expected.insert(key.clone(), value.clone()),
                    None => expected.remove(key),
                };
            }
            let merged: std::collections::BTreeMap<_, _> = merged
                .into_iter()
                .map(|(key, value)| match value {
                    crate::config::settings::Value::Literal(text) => (key, text),
                    other => (key, format!("{other:?}")),
                })
                .collect();
            prop_assert_eq!(merged, expected);
        }
    }
}
