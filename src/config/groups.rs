//! Deployment groups: which ones a file is for, and which of them is requested.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wildmatch::WildMatch;

use super::diagnostic::Mistake;
use super::merge::Effective;
use crate::suggest::nearest;

/// The deployment group whose configuration is requested, and where its name comes from: errors name both.
#[derive(Debug, Clone, Copy)]
pub enum RequestedGroup<'a> {
    /// A hook: `CodeDeploy` names the group in `DEPLOYMENT_GROUP_NAME`.
    Hook(Option<&'a str>),
    /// An operator, by `--group`.
    Operator(Option<&'a str>),
    /// None was given: it is the group of the last good release.
    LastRelease(&'a str),
    /// An operator who wants to see what a group gets, by `--show-effective`.
    Show(&'a str),
}

/// A file in its layers: what is for every group, and what each group changes.
#[derive(Debug, Clone)]
pub(super) struct Layers<'t> {
    base: Spanned<DeTable<'t>>,
    groups: Option<Spanned<Vec<String>>>,
    tables: BTreeMap<String, DeTable<'t>>,
}

impl<'a> RequestedGroup<'a> {
    fn group(self) -> Option<&'a str> {
        match self {
            Self::Hook(group) | Self::Operator(group) => group,
            Self::LastRelease(group) | Self::Show(group) => Some(group),
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Hook(_) => "DEPLOYMENT_GROUP_NAME",
            Self::Operator(_) => "--group",
            Self::LastRelease(_) => "the group of the last good release",
            Self::Show(_) => "--show-effective",
        }
    }
}

impl<'t> Layers<'t> {
    /// Separates a file into its layers.
    pub(super) fn of(mut root: Spanned<DeTable<'t>>) -> Result<Self, Mistake> {
        let groups = root.get_mut().remove("groups").map(names).transpose()?;
        let tables = match (root.get_mut().remove_entry("group"), &groups) {
            (None, _) => BTreeMap::new(),
            (Some((key, _)), None) => {
                return Err(Mistake::at(key.span(), "a table [group.NAME] has no effect without 'groups'")
                    .help("add groups = [\"NAME\"] at the top"));
            }
            (Some((_, tables)), Some(groups)) => group_tables(tables, groups.get_ref())?,
        };
        if let (Some((key, _)), Some(_)) = (root.get_ref().get_key_value("disposable"), &groups) {
            return Err(Mistake::at(key.span(), "'disposable' is set for one group, not for all")
                .help("write it in a table [group.NAME]"));
        }
        Ok(Self { base: root, groups, tables })
    }

    /// The names and patterns in `groups`, or the one configuration of a file without.
    pub(super) fn entries(&self) -> Vec<Option<&str>> {
        match &self.groups {
            Some(groups) => groups.get_ref().iter().map(|name| Some(name.as_str())).collect(),
            None => vec![None],
        }
    }

    /// The entry of `groups` for the requested group: its own name, else the first pattern that matches.
    pub(super) fn entry_for(&self, asked: RequestedGroup<'_>) -> Result<Option<&str>, Mistake> {
        let Some(groups) = &self.groups else { return Ok(None) };
        let wrong = |what| Mistake::at(groups.span(), what);
        let Some(name) = asked.group() else {
            return Err(match asked {
                RequestedGroup::Hook(_) => wrong(
                    "DEPLOYMENT_GROUP_NAME is not set, and this configuration is only for these groups"
                        .to_owned(),
                ),
                _ => wrong("no group is given, and this configuration is only for these groups".to_owned())
                    .help(format!("add --group NAME, one of: {}", groups.get_ref().join(", "))),
            });
        };
        let entries = || groups.get_ref().iter();
        entries()
            .find(|entry| *entry == name)
            .or_else(|| entries().find(|pattern| WildMatch::new(pattern).matches(name)))
            .map(|entry| Some(entry.as_str()))
            .ok_or_else(|| {
                let known: Vec<&str> = entries().map(String::as_str).collect();
                wrong(format!("{} is '{name}', which is none of these groups", asked.source()))
                    .help(nearest(name, &known))
            })
    }

    /// The configuration for an entry of `groups`.
    pub(super) fn effective(&self, entry: Option<&str>) -> Result<Effective<'t>, Mistake> {
        let table = entry.and_then(|entry| self.tables.get(entry));
        Effective::of(self.base.clone(), entry, table.cloned().unwrap_or_default())
    }
}

/// The value of `groups`.
fn names(value: Spanned<DeValue<'_>>) -> Result<Spanned<Vec<String>>, Mistake> {
    let span = value.span();
    let wrong = |span| {
        Mistake::at(span, "'groups' is an array of names").help("write groups = [\"test\", \"production\"]")
    };
    let DeValue::Array(array) = value.into_inner() else { return Err(wrong(span)) };
    let mut names: Vec<String> = Vec::new();
    for name in array {
        match name.get_ref().as_str() {
            None | Some("") => return Err(wrong(name.span())),
            Some(text) if names.iter().any(|known| known == text) => {
                return Err(Mistake::at(name.span(), format!("group '{text}' is listed twice")));
            }
            Some(text) => names.push(text.to_owned()),
        }
    }
    if names.is_empty() {
        return Err(Mistake::at(span, "no group: nothing can be deployed")
            .help("list the groups, or remove 'groups' to allow every group"));
    }
    Ok(Spanned::new(span, names))
}

/// The tables `[group.NAME]`. A misspelt name is an error: its table would be silently ignored.
fn group_tables<'t>(
    value: Spanned<DeValue<'t>>,
    groups: &[String],
) -> Result<BTreeMap<String, DeTable<'t>>, Mistake> {
    let no_table = |span| Mistake::at(span, "a group is a table").help("write [group.NAME]");
    let span = value.span();
    let DeValue::Table(tables) = value.into_inner() else { return Err(no_table(span)) };
    let mut named = BTreeMap::new();
    for (name, table) in tables {
        if !groups.iter().any(|group| group == name.get_ref()) {
            let known: Vec<&str> = groups.iter().map(String::as_str).collect();
            return Err(Mistake::at(name.span(), format!("'{}' is not in 'groups'", name.get_ref()))
                .help(nearest(name.get_ref(), &known)));
        }
        let span = table.span();
        let DeValue::Table(table) = table.into_inner() else { return Err(no_table(span)) };
        named.insert(name.into_inner().into_owned(), table);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn layers(text: &str) -> Result<Layers<'_>, String> {
        let root = DeTable::parse(text).unwrap();
        Layers::of(root).map_err(|mistake| mistake.located(text, "handover.toml").to_string())
    }

    #[test]
    fn a_name_goes_before_a_pattern_and_the_first_pattern_before_the_next() {
        let text = "groups = ['*-eu', 'production-*', 'production-eu', 't?st']";
        let layers = layers(text).unwrap();
        for (group, entry) in [
            ("production-eu", Some("production-eu")),
            ("staging-eu", Some("*-eu")),
            ("production-us-eu", Some("*-eu")),
            ("production-us", Some("production-*")),
            ("test", Some("t?st")),
            ("tst", None),
            ("Production-us", None),
            ("my production-us", None),
        ] {
            assert_eq!(layers.entry_for(RequestedGroup::Hook(Some(group))).ok().flatten(), entry, "{group}");
        }
    }

    #[test]
    fn without_groups_every_group_is_fine() {
        let layers = layers("app = 'a'").unwrap();
        assert_eq!(layers.entry_for(RequestedGroup::Hook(Some("any"))).unwrap(), None);
        assert_eq!(layers.entry_for(RequestedGroup::Operator(None)).unwrap(), None);
    }

    #[test]
    fn groups_is_an_array_of_different_names() {
        for bad in [
            "groups = 'test'",
            "groups = [1]",
            "groups = ['']",
            "groups = []",
            "groups = ['a', 'a']",
            "groups = true",
        ] {
            assert!(layers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_table_without_its_group_is_an_error() {
        assert_snapshot!(layers("groups = ['test', 'production']\n[group.tset]\n").unwrap_err(), @r"
        error: 'tset' is not in 'groups'
         --> handover.toml:2:8
          |
        2 | [group.tset]
          |        ^^^^ did you mean 'test'?
        ");
        assert_snapshot!(layers("[group.test]\n").unwrap_err(), @r#"
        error: a table [group.NAME] has no effect without 'groups'
         --> handover.toml:1:2
          |
        1 | [group.test]
          |  ^^^^^ add groups = ["NAME"] at the top
        "#);
        assert!(layers("groups = ['test']\ngroup = 1").unwrap_err().contains("a group is a table"));
        assert!(layers("groups = ['test']\ngroup.test = 1").unwrap_err().contains("a group is a table"));
        assert!(layers("groups = ['test']\ndisposable = true").unwrap_err().contains("for one group"));
    }
}
