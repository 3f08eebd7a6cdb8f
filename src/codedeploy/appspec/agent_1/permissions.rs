//! `permissions`, as agent 1.8 reads them.

use super::{Loaded, Rules, Value, class};
use crate::codedeploy::appspec::reading::Permission;
use crate::codedeploy::appspec::{access, sentences};

impl Rules {
    pub(super) fn permissions(&mut self, permissions: Option<&Loaded>) -> Vec<Permission> {
        let Some(list) = permissions.filter(|list| !list.value.is_nothing()) else { return vec![] };
        let fix = "begin each entry with '- object: '";
        if matches!(&list.value, Value::Map(pairs) if !pairs.is_empty()) {
            let words = sentences::no_method("has_key?", "Array");
            self.refuse(list, "this permissions section", "it is a mapping, not a list", fix, words);
            return vec![];
        }
        let items = self.each(list, "this permissions section", fix);
        items.iter().filter_map(|item| self.permission(item)).collect()
    }

    fn permission(&mut self, item: &Loaded) -> Option<Permission> {
        let thing = "this permission";
        if !matches!(item.value, Value::Map(_)) {
            let words = sentences::no_method("has_key?", class(&item.value));
            self.refuse(item, thing, "it is no mapping", "write '- object: ' before it", words);
            return None;
        }
        let part = |key: &str| item.value.get(key).filter(|part| part.value != Value::Nil);
        let object = part("object").map(|object| object.value.text().trim().to_owned()).unwrap_or_default();
        if object.is_empty() {
            let at = part("object").unwrap_or(item);
            self.refuse(at, thing, "it has no object", "write object: and a path", sentences::OBJECT);
        }
        // Each of its parts is kept as it is, so a mapping passes.
        let is_list = |except: &Loaded| except.value.is_nothing() || matches!(except.value, Value::Map(_));
        if let Some(except) = part("except").filter(|except| !is_list(except)) {
            self.each(except, "this except", "begin each pattern with '- '");
        }
        if let Some(types) = part("type").filter(|types| !types.value.is_nothing()) {
            for kind in self.each(types, "this type", "write '- file', '- directory' or both below it") {
                let text = kind.value.text();
                if !matches!(&kind.value, Value::Text(text) if ["file", "directory"].contains(&text.as_str()))
                {
                    let why = "it is neither file nor directory";
                    self.refuse(
                        kind,
                        "this type",
                        why,
                        "write file or directory",
                        sentences::object_type(&text),
                    );
                }
            }
        }
        if let Some(acls) = part("acls") {
            for entry in self.each(acls, "these acls", "begin each entry with '- '") {
                if !matches!(&entry.value, Value::Text(text) if access::acl_of_1(text)) {
                    let words = format!("Invalid acl entry ({}).", entry.value.text());
                    self.refuse(
                        entry,
                        "this entry of acls",
                        "it is none",
                        "write it as 'user:NAME:rwx'",
                        words,
                    );
                }
            }
        }
        if let Some(context) = part("context") {
            self.context(context);
        }
        let mode = part("mode");
        let digits = mode.map(|mode| self.mode(mode));
        Some(Permission { object, mode: digits, mode_span: mode.map_or(0..0, |mode| mode.span.clone()) })
    }

    /// `to_s` of whatever Psych made of it: 0755 is 493 by then (`mode_info.rb`).
    fn mode(&mut self, mode: &Loaded) -> String {
        let text = mode.value.text();
        if let Some(why) = access::mode(&text) {
            let is_number = matches!(mode.value, Value::Integer(_) | Value::Float(_));
            let why = if is_number { format!("it reads it as {text}, and {why}") } else { why.to_owned() };
            let words = format!("the permissions mode ({text}) in the application specification file");
            self.refuse(mode, "this mode", why, "write it in quotes, such as \"0755\"", words);
        }
        text
    }

    fn context(&mut self, context: &Loaded) {
        let fix = "write type: below it";
        match &context.value {
            Value::Map(_) => {}
            // Ruby's [] of a text gives the key where it occurs in it.
            Value::Text(text) if text.contains("type") => return,
            value => {
                let words = sentences::no_method("[]", class(value));
                return self.refuse(context, "this context", "it is no mapping", fix, words);
            }
        }
        if context.value.get("type").is_none_or(|kind| kind.value == Value::Nil) {
            let words = "specifies an invalid context type";
            self.refuse(context, "this context", "it has no type", fix, words);
        }
        if let Some(range) = context.value.get("range").filter(|range| range.value != Value::Nil)
            && !matches!(&range.value, Value::Text(text) if access::range_of_1(text))
        {
            let words = format!("problem with the SELinux range specified ({})", range.value.text());
            self.refuse(range, "this range", "it is none", "write it as s0-s3:c0.c5", words);
        }
    }
}
