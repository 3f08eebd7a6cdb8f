//! Secrets that this process did not read itself, learnt from what a container was given.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Field, Fields};
use crate::config::settings::{Settings, Value, Workload};
use crate::redact::{Redactor, is_open};
use crate::template;

/// Masks what a container was given from secrets, and leaves what is open in the configuration.
pub fn learn_environment(
    redactor: &mut Redactor,
    environment: &[(String, SecretString)],
    settings: &Settings,
    workload: &Workload,
) {
    let sources = settings.environment_of(workload);
    for (name, value) in environment {
        match sources.get(name.as_str()) {
            None | Some(Value::Literal(_)) => {}
            Some(Value::Secret { field, .. }) if is_open(field) => {}
            Some(Value::Secret { .. }) => redactor.learn(value.expose_secret()),
            Some(Value::Template(template)) => {
                redactor.learn(value.expose_secret());
                learn_rendered(redactor, template, value.expose_secret());
            }
        }
    }
}

/// The fields of a secret that a container was given, as far as its environment and its rendered files (each with its template)
/// show. A part of a template whose filters cannot be undone shows nothing.
pub fn fields_in(
    secret: &str,
    environment: &[(String, SecretString)],
    files: &[(&str, String)],
    settings: &Settings,
    workload: &Workload,
) -> Fields {
    let sources = settings.environment_of(workload);
    let mut fields = Fields::new();
    let mut templates: Vec<(&str, &str)> = vec![];
    for (variable, given) in environment {
        match sources.get(variable.as_str()) {
            Some(Value::Secret { secret: its, field, .. }) if its == secret => {
                fields.insert(field.clone(), Field::Text(given.clone()));
            }
            Some(Value::Template(template)) => templates.push((template, given.expose_secret())),
            _ => {}
        }
    }
    templates.extend(files.iter().map(|(template, rendered)| (*template, rendered.as_str())));
    for (template, rendered) in templates {
        for (expression, part) in filled_in(template, rendered) {
            let mut pipeline = expression.split('|').map(str::trim);
            let reference = pipeline.next().unwrap_or_default();
            let field = field_of(reference);
            let is_its =
                reference.strip_prefix(secret).is_some_and(|rest| rest.trim_start().starts_with(['.', '[']));
            let filters: Vec<&str> = pipeline.collect();
            let value = filters
                .into_iter()
                .rev()
                .try_fold(part.to_owned(), |text, filter| template::undo_filter(filter, &text));
            if let (true, Some(value)) = (is_its, value)
                && !fields.contains_key(field)
            {
                fields.insert(field.to_owned(), Field::Text(SecretString::from(value)));
            }
        }
    }
    fields
}

/// Masks what the expressions of a template became in the rendered text: as it is, and as it was before the filters.
pub fn learn_rendered(redactor: &mut Redactor, template: &str, rendered: &str) {
    for (expression, part) in filled_in(template, rendered) {
        let mut pipeline = expression.split('|').map(str::trim);
        if is_open(field_of(pipeline.next().unwrap_or_default())) {
            continue;
        }
        redactor.learn(part);
        let filters: Vec<&str> = pipeline.collect();
        let mut before = part.to_owned();
        for filter in filters.into_iter().rev() {
            let Some(earlier) = template::undo_filter(filter, &before) else { break };
            redactor.learn(&earlier);
            before = earlier;
        }
    }
}

/// `database.host`, `mail["smtp/host"]`.
fn field_of(name: &str) -> &str {
    let in_brackets = name.strip_suffix(']').and_then(|name| Some(name.split_once('[')?.1));
    match in_brackets {
        Some(quoted) => quoted.trim().trim_matches(['"', '\'']),
        None => name.rsplit('.').next().unwrap_or_default(),
    }
}

/// The parts of a rendered text where its template has `{{ … }}`, as far as the text around them shows. With an optional
/// part, such as an `{% if %}`, the lines are compared one by one.
fn filled_in<'a>(template: &'a str, rendered: &'a str) -> Vec<(&'a str, &'a str)> {
    let whole = filled_in_at_once(template, rendered);
    if whole.len() == template.matches("{{").count() {
        return whole;
    }
    let lines = template.lines().filter(|line| line.contains("{{"));
    lines.flat_map(|line| rendered.lines().flat_map(move |found| filled_in_at_once(line, found))).collect()
}

fn filled_in_at_once<'a>(template: &'a str, rendered: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut parts = Vec::new();
    let mut pieces = template.split("{{");
    let Some(mut rest) = rendered.strip_prefix(pieces.next().unwrap_or_default()) else { return parts };
    for piece in pieces {
        let (expression, literal) = piece.split_once("}}").unwrap_or_default();
        let end = if literal.is_empty() { Some(rest.len()) } else { rest.find(literal) };
        let Some(end) = end else { break };
        parts.push((expression, &rest[..end]));
        rest = &rest[(end + literal.len()).min(rest.len())..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that never read the secret finds it in the file of a container.
    #[test]
    fn values_are_found_in_a_rendered_file_and_before_its_filters() {
        let template = "HOST = {{ db.host | python }}\n{% if db.password %}\nPASSWORD = {{ db.password | python }}\n{% endif %}\nexport TOKEN={{ redis.value | shell }}\n";
        let rendered = "HOST = 'db.internal'\n\nPASSWORD = 'it\\'s secret'\n\nexport TOKEN='t'\\''oken'\n";
        let mut redactor = Redactor::default();
        learn_rendered(&mut redactor, template, rendered);
        assert_eq!(redactor.redact("it's secret, t'oken, db.internal"), "***, ***, db.internal");
    }

    #[test]
    fn a_field_may_stand_in_brackets() {
        for (name, field) in [
            ("db.host", "host"),
            ("mail[\"smtp/host\"]", "smtp/host"),
            ("mail['a.b']", "a.b"),
            ("mail[ 'x' ]", "x"),
        ] {
            assert_eq!(field_of(name), field);
        }
    }

    #[test]
    fn the_fields_of_a_secret_are_found_again() {
        let text = "app = 'a'\n[image]\nrepository = 'x'\ntag = 't'\n[secret.db]\nid = 'prod/db'\n[secret.dbx]\nid = 'prod/dbx'\n[environment]\nHOST = { secret = 'db.host' }\nX = { secret = 'dbx.password' }\nURL = { template = 'pg://{{ db.user }}:{{ db.password | urlencode }}@{{ dbx.host }}/{{ db.name | upper }}' }\n[process.web]\n";
        let settings = crate::config::parse(text, "handover.toml").unwrap();
        let (_, web) = settings.workloads().next().unwrap();
        let given = [
            ("HOST", "db.internal"),
            ("X", "other"),
            ("URL", "pg://sp:a%2Fb@x.internal/SP"),
            ("PATH", "/bin"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), SecretString::from(value)));
        let files = [("TOKEN={{ db[\"api token\"] | shell }}\n", "TOKEN='it'\\''s'\n".to_owned())];
        let fields = fields_in("db", &given, &files, &settings, web);
        let shown: Vec<String> = fields
            .iter()
            .map(|(name, field)| match field {
                Field::Text(text) => format!("{name}={}", text.expose_secret()),
                Field::Unusable(what) => format!("{name}: {what}"),
            })
            .collect();
        assert_eq!(shown, ["api token=it's", "host=db.internal", "password=a/b", "user=sp"]);
    }

    #[test]
    fn the_parts_of_a_template_are_found_again() {
        let template = "postgres://sp:{{ database.password | urlencode }}@{{ database.host }}:5432/sp";
        assert_eq!(
            filled_in(template, "postgres://sp:a%2Fb@db.internal:5432/sp"),
            [(" database.password | urlencode ", "a%2Fb"), (" database.host ", "db.internal")]
        );
        assert_eq!(filled_in("{{ redis.value }}", "token"), [(" redis.value ", "token")]);
        assert_eq!(filled_in("no secret", "no secret"), []);
        assert_eq!(filled_in("a{{ b }}c", "another text"), []);
    }
}
