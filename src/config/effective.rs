//! Prints the configuration of one group as TOML, with the origin of each key.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FILE_NAME;
use super::diagnostic::line_of;
use super::merge::Effective;

/// Prints it. Values appear as they are written in `text`.
pub(super) fn render(effective: &Effective<'_>, text: &str) -> String {
    let writer = Writer { effective, text };
    let mut lines = vec![match &effective.entry {
        Some(entry) => format!("# {FILE_NAME} as group '{entry}' gets it"),
        None => format!("# {FILE_NAME} as every group gets it"),
    }];
    writer.table(effective.table.get_ref(), &[], &mut lines);
    if !effective.removed.is_empty() {
        lines.push(String::new());
    }
    for removed in &effective.removed {
        let path = removed.path.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(".");
        lines.push(format!("# removed: {path}  # {}", writer.place(true, &removed.span)));
    }
    lines.join("\n") + "\n"
}

struct Writer<'a, 't> {
    effective: &'a Effective<'t>,
    text: &'a str,
}

impl Writer<'_, '_> {
    fn table(&self, table: &DeTable<'_>, path: &[String], lines: &mut Vec<String>) {
        let (inline, tables): (Vec<_>, Vec<_>) = table.iter().partition(|(key, value)| {
            self.is_written_whole(value, &[path, &[key.get_ref().to_string()]].concat())
        });
        if !path.is_empty() && (!inline.is_empty() || tables.is_empty()) {
            lines.push(String::new());
            lines.push(format!("[{}]", path.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(".")));
        }
        for (key, value) in inline {
            let written = &self.text[value.span()];
            let place = self.place(self.effective.is_set_by_group(value), &value.span());
            lines.push(format!("{} = {written}  # {place}", quoted(key.get_ref())));
        }
        for (key, value) in tables {
            let path = [path, &[key.get_ref().to_string()]].concat();
            self.table(value.get_ref().as_table().unwrap_or(&DeTable::new()), &path, lines);
        }
    }

    /// Whether the text of a value is all of it: it is not a table with a header, and no group changed anything inside.
    fn is_written_whole(&self, value: &Spanned<DeValue<'_>>, path: &[String]) -> bool {
        let Some(table) = value.get_ref().as_table() else { return true };
        let span = value.span();
        self.text[span.clone()].starts_with('{')
            && is_within(table, &span)
            && !self.effective.removed.iter().any(|removed| removed.path.starts_with(path))
    }

    fn place(&self, set_by_group: bool, span: &Range<usize>) -> String {
        let line = line_of(self.text, span.start);
        match &self.effective.entry {
            Some(entry) if set_by_group => format!("[group.{}] {FILE_NAME}:{line}", quoted(entry)),
            _ => format!("{FILE_NAME}:{line}"),
        }
    }
}

fn is_within(table: &DeTable<'_>, whole: &Range<usize>) -> bool {
    table.values().all(|value| {
        let span = value.span();
        let inside = whole.start <= span.start && span.end <= whole.end;
        inside && value.get_ref().as_table().is_none_or(|table| is_within(table, whole))
    })
}

/// A key as TOML writes it; outside of bare keys, JSON's strings are TOML's.
fn quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_bare { key.to_owned() } else { serde_json::Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::config::bundle_files::BundleFiles;
    use crate::config::{RequestedGroup, effective_settings, parse};

    const TEXT: &str = r#"app = "status-page"
groups = ["test", "production-*"]
image = { repository = "status-page", tag = "v1" }
[secret.database]
id = "prod/database"
fields = { host = "db.internal", port = 5432 }
[secret.redis]
id = "prod/redis"
format = "text"
[environment]
"A KEY" = "INFO" # a comment
HOST = { secret = "database.host" }
NOTE = """
two
lines"""
[process.web]
command = [
  "serve", # with a comment
]
publish = ["8000:8000"]
order = "stop-first"
health = { http = "/health", status = ["200"] }
[group.test]
disposable = true
secret.redis = false
image.tag = "v2"
environment = { "A KEY" = "DEBUG", EXTRA = '"quoted"' }
process.web.command = ["serve", "--debug"]
[group.test.process.web.health]
interval = "500ms"
[group."production-*".process.web]
memory = "1g"
health = false
"#;

    fn shown(group: &str) -> String {
        let (settings, effective) =
            effective_settings(&BundleFiles::none(), TEXT, "handover.toml", RequestedGroup::Show(group))
                .unwrap();
        let shown = super::render(&effective, TEXT);
        let again = parse(&shown, "shown").unwrap_or_else(|e| panic!("{e}\n{shown}"));
        let plain = |settings| serde_json::to_string(settings).unwrap();
        assert_eq!(plain(&again), plain(&settings), "{shown}");
        shown
    }

    #[test]
    fn what_a_group_gets_is_toml_that_means_the_same() {
        assert_snapshot!(shown("test"), @r#"
        # handover.toml as group 'test' gets it
        app = "status-page"  # handover.toml:1
        disposable = true  # [group.test] handover.toml:24

        [environment]
        "A KEY" = "DEBUG"  # [group.test] handover.toml:27
        EXTRA = '"quoted"'  # [group.test] handover.toml:27
        HOST = { secret = "database.host" }  # handover.toml:12
        NOTE = """
        two
        lines"""  # handover.toml:13

        [image]
        repository = "status-page"  # handover.toml:3
        tag = "v2"  # [group.test] handover.toml:26

        [process.web]
        command = ["serve", "--debug"]  # [group.test] handover.toml:28
        order = "stop-first"  # handover.toml:21
        publish = ["8000:8000"]  # handover.toml:20

        [process.web.health]
        http = "/health"  # handover.toml:22
        interval = "500ms"  # [group.test] handover.toml:30
        status = ["200"]  # handover.toml:22

        [secret.database]
        fields = { host = "db.internal", port = 5432 }  # handover.toml:6
        id = "prod/database"  # handover.toml:5

        # removed: secret.redis  # [group.test] handover.toml:25
        "#);
    }

    #[test]
    fn a_group_may_fit_a_pattern() {
        assert_snapshot!(shown("production-eu"), @r#"
        # handover.toml as group 'production-*' gets it
        app = "status-page"  # handover.toml:1
        image = { repository = "status-page", tag = "v1" }  # handover.toml:3

        [environment]
        "A KEY" = "INFO"  # handover.toml:11
        HOST = { secret = "database.host" }  # handover.toml:12
        NOTE = """
        two
        lines"""  # handover.toml:13

        [process.web]
        command = [
          "serve", # with a comment
        ]  # handover.toml:17
        memory = "1g"  # [group."production-*"] handover.toml:32
        order = "stop-first"  # handover.toml:21
        publish = ["8000:8000"]  # handover.toml:20

        [secret.database]
        fields = { host = "db.internal", port = 5432 }  # handover.toml:6
        id = "prod/database"  # handover.toml:5

        [secret.redis]
        format = "text"  # handover.toml:9
        id = "prod/redis"  # handover.toml:8

        # removed: process.web.health  # [group."production-*"] handover.toml:33
        "#);
    }

    #[test]
    fn shown_again_it_is_the_same() {
        let once = shown("test");
        let (_, effective) =
            effective_settings(&BundleFiles::none(), &once, "shown", RequestedGroup::Operator(None)).unwrap();
        let strip = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|l| !l.starts_with('#'))
                .map(|l| l.split("  # ").next().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(
            strip(&super::render(&effective, &once)).join("\n").trim(),
            strip(&once).join("\n").trim()
        );
    }
}
