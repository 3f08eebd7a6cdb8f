//! Secrets that this process did not read itself, learnt from what a container was given.

use secrecy::{ExposeSecret as _, SecretString};

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
