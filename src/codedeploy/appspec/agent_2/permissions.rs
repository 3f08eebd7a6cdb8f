//! `permissions`, as agent 2.x reads them.

use super::Rules;
use crate::codedeploy::appspec::reading::Permission;
use crate::codedeploy::appspec::tree::Node;
use crate::codedeploy::appspec::{access, sentences};

const KEYS: [&str; 9] = ["object", "pattern", "except", "type", "owner", "group", "mode", "acls", "context"];

impl Rules {
    pub(super) fn permission(&mut self, item: &Node) -> Option<Permission> {
        let thing = "this permission";
        let fields = self.fields(Some(item), thing, "write '- object: ' before it", &KEYS)?;
        let object =
            self.optional_text(fields.get("object"), "this object").unwrap_or_default().trim().to_owned();
        if object.is_empty() {
            let at = fields.get("object").unwrap_or(item);
            self.value(at, thing, "it has no object", "write object: and a path", sentences::OBJECT);
        }
        for key in ["pattern", "owner", "group"] {
            self.optional_text(fields.get(key), &format!("this {key}"));
        }
        self.texts(fields.get("except"), "this except", "begin each pattern with '- '");
        for (kind, at) in
            self.texts(fields.get("type"), "this type", "write '- file', '- directory' or both below it")
        {
            if !["file", "directory"].contains(&kind.as_str()) {
                let why = "it is neither file nor directory";
                self.value(at, "this type", why, "write file or directory", sentences::object_type(&kind));
            }
        }
        for (entry, at) in self.texts(fields.get("acls"), "these acls", "begin each entry with '- '") {
            if !access::acl_of_2(&entry) {
                let words = format!("Invalid acl entry ({entry}).");
                self.value(at, "this entry of acls", "it is none", "write it as 'user:NAME:rwx'", words);
            }
        }
        self.context(fields.get("context"));
        let mode = self.optional_text(fields.get("mode"), "this mode");
        if let (Some(text), Some(at)) = (&mode, fields.get("mode"))
            && let Some(why) = access::mode(text)
        {
            let words = format!("the permissions mode ({text}) in the application specification file");
            self.value(at, "this mode", why, "write it in quotes, such as \"0755\"", words);
        }
        Some(Permission { object, mode, mode_span: fields.get("mode").map_or(0..0, Node::place) })
    }

    /// A list of texts, or null.
    fn texts<'a>(&mut self, node: Option<&'a Node>, thing: &str, fix: &str) -> Vec<(String, &'a Node)> {
        let items = self.optional_list(node, thing, fix);
        items.iter().filter_map(|item| Some((self.text(item, thing)?, &**item))).collect()
    }

    fn context(&mut self, context: Option<&Node>) {
        let fix = "write type: below it";
        let Some(context) = self.some(context) else { return };
        let Some(fields) = self.fields(Some(context), "this context", fix, &["name", "type", "range"]) else {
            return;
        };
        self.optional_text(fields.get("name"), "this name");
        if self.optional_text(fields.get("type"), "this type").is_none() {
            self.value(context, "this context", "it has no type", fix, "specifies an invalid context type");
        }
        let range = self.optional_text(fields.get("range"), "this range");
        if let (Some(text), Some(at)) = (range, fields.get("range"))
            && !access::range_of_2(&text)
        {
            let words = format!("problem with the SELinux range specified ({text})");
            self.value(at, "this range", "it is none", "write it as s0-s3:c0.c5", words);
        }
    }
}
