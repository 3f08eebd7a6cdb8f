//! The table: what stands in the file, and what each agent refuses of it.

/// One row.
pub struct Row {
    pub what: &'static str,
    /// The part of the file that it is about.
    pub shown: Option<String>,
    pub text: Vec<u8>,
    /// A part of what agent 1.8 refuses; empty: it accepts the file.
    pub first: &'static str,
    /// The same of 2.x.
    pub second: &'static str,
    /// A part of what lint warns of where both accept it; empty: of nothing.
    pub warning: &'static str,
}

const HEAD: &str = "version: 0.0\nos: linux\n";
const HOOKS: &str = "hooks:\n  ApplicationStart:\n    - location: bin/handover\n      timeout: 600\n";

fn row(what: &'static str, text: impl Into<Vec<u8>>, [first, second, warning]: [&'static str; 3]) -> Row {
    Row { what, shown: None, text: text.into(), first, second, warning }
}

/// With the head and the hooks of a good file.
fn beside(what: &'static str, section: &str, says: [&'static str; 3]) -> Row {
    let text = format!("{HEAD}{section}\n{HOOKS}");
    Row { shown: Some(section.to_owned()), ..row(what, text, says) }
}

/// Another head.
fn head(what: &'static str, head: &str, says: [&'static str; 3]) -> Row {
    Row { shown: Some(head.to_owned()), ..row(what, format!("{head}\n{HOOKS}"), says) }
}

/// Other hooks.
fn hooks(what: &'static str, hooks: &str, says: [&'static str; 3]) -> Row {
    Row { shown: Some(hooks.to_owned()), ..row(what, format!("{HEAD}{hooks}\n"), says) }
}

/// More keys of the script that runs handover.
fn script(what: &'static str, keys: &str, says: [&'static str; 3]) -> Row {
    let text = format!("{HEAD}hooks:\n  ApplicationStart:\n    - location: bin/handover\n      {keys}\n");
    Row { shown: Some(keys.to_owned()), ..row(what, text, says) }
}

fn permission(what: &'static str, keys: &str, says: [&'static str; 3]) -> Row {
    let text = format!("{HEAD}permissions:\n  - object: /opt/app\n    {keys}\n{HOOKS}");
    Row { shown: Some(keys.to_owned()), ..row(what, text, says) }
}

const OK: [&str; 3] = ["", "", ""];
const fn both(why: &'static str) -> [&'static str; 3] {
    [why, why, ""]
}
const fn first(why: &'static str) -> [&'static str; 3] {
    [why, "", ""]
}
const fn second(why: &'static str) -> [&'static str; 3] {
    ["", why, ""]
}
const fn warns(warning: &'static str) -> [&'static str; 3] {
    ["", "", warning]
}

/// Every row.
pub fn rows() -> Vec<Row> {
    [files(), heads(), events(), timeouts(), values(), sections(), permissions()]
        .into_iter()
        .flatten()
        .collect()
}

fn files() -> Vec<Row> {
    let good = format!("{HEAD}{HOOKS}");
    let with = |before: &str| format!("{before}{good}");
    vec![
        row("a good file", good.clone(), OK),
        row("lines that end as on Windows", good.replace('\n', "\r\n"), OK),
        row(
            "a byte order mark before a key",
            with("\u{feff}"),
            both("counts as a character of the first line"),
        ),
        row("a byte order mark before a comment", with("\u{feff}# for us\n"), OK),
        row("bytes that are not UTF-8", [good.as_bytes(), b"# caf\xe9\n"].concat(), both("it is not UTF-8")),
        row(
            "UTF-16",
            good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            both("control character"),
        ),
        row(
            "a control character in a comment",
            format!("{good}# \u{1}\n"),
            both("control character in it (U+0001)"),
        ),
        row("nothing at all", "", both("there is nothing in it")),
        row("comments alone", "# later\n", ["there is nothing in it", "there is no version", ""]),
        row("a text", "later\n", both("it is no mapping")),
        row("'---' before it", with("---\n"), OK),
        row(
            "a second document",
            format!("{good}---\nos: windows\n"),
            second("a second document begins here"),
        ),
        row(
            "what is no YAML behind the first document",
            format!("{good}---\n}}\n"),
            second("a second document begins here"),
        ),
        row("a tab that indents", good.replace("  Appl", "\tAppl"), both("indented with a tab")),
        row("a list that is not closed", format!("{HEAD}hooks: [\n"), both("a '[' or '{' is not closed")),
        row("two keys in a line", good.replace("hooks:", "hooks: x: y"), both("a key cannot stand here")),
        row("quotes that are not closed", format!("{good}x: \"a\n"), both("quotes are not closed")),
    ]
}

fn heads() -> Vec<Row> {
    vec![
        head("no version", "os: linux", both("there is no version")),
        head("a whole number as version", "version: 0\nos: linux", OK),
        head("another version", "version: 1.0\nos: linux", both("it is not 0.0")),
        head(
            "quotes around the version",
            "version: \"0.0\"\nos: linux",
            both("it is a text, not the number 0.0"),
        ),
        head("0 with an exponent", "version: 0e0\nos: linux", first("it is a text")),
        head("0 as 1.8 alone reads it", "version: 0x0\nos: linux", second("it is not 0.0")),
        head("no os", "version: 0.0", both("there is no os")),
        head("another os", "version: 0.0\nos: windows", first("it is not linux")),
        head("an os in capitals", "version: 0.0\nos: Linux", both("it is not linux")),
        head("a symbol of Ruby's", "version: 0.0\nos: :linux", both("it is not linux")),
        head(
            "a key twice",
            "version: 0.0\nos: linux\nos: linux",
            second("it stands here for the second time"),
        ),
        beside("a key that neither knows", "team: web", OK),
        beside("a date, anywhere", "since: 2024-01-31", first("it takes neither dates nor times")),
        beside("a date that is none", "since: 2024-02-31", first("it takes neither dates nor times")),
        beside("a time, anywhere", "since: 2024-01-31 10:00:00", first("it takes neither dates nor times")),
        beside("a date in quotes", "since: \"2024-01-31\"", OK),
        beside("a number that is none", "mask: 0x_", first("it cannot read it")),
        beside("a name for a value", "limit: &limit 600", OK),
        beside("a value by its name", "limit: &limit 600\nother: *limit", first("it takes none")),
        beside(
            "a name of nothing",
            "other: *limit",
            ["it takes none", "nothing before it has that name", ""],
        ),
        beside("a tag of Ruby's", "owner: !ruby/object:Object {}", first("it makes none of what is not")),
        beside("a tag of YAML's", "owner: !!str 600", OK),
    ]
}

fn events() -> Vec<Row> {
    let rest = HOOKS.strip_prefix("hooks:\n").unwrap_or_default();
    let more = |what, event: &str, says| Row {
        shown: Some(event.to_owned()),
        ..hooks(what, &format!("hooks:\n  {event}\n{}", rest.trim_end()), says)
    };
    vec![
        more("an event without scripts", "AfterInstall:", first("it has no list of scripts")),
        more("an event with an empty list", "AfterInstall: []", OK),
        more("an event with an empty mapping", "AfterInstall: {}", second("it is no list")),
        more("a script that is no list", "AfterInstall: bin/handover", both("it is no list")),
        more(
            "a mapping where the list belongs",
            "AfterInstall: {location: bin/handover}",
            ["it is no list", "it is no list", ""],
        ),
        more("a list of paths", "AfterInstall: [bin/handover]", both("it is no mapping")),
        more("a script without location", "AfterInstall: [{timeout: 60}]", both("it has no location")),
        more("an empty location", "AfterInstall: [{location: \"\"}]", both("it has no location")),
        hooks(
            "an event twice",
            &format!("{}\n{}", HOOKS.trim_end(), rest.trim_end()),
            warns("for the second time"),
        ),
        hooks("a slash before the location", &HOOKS.trim_end().replace("bin/", "/bin/"), OK),
        hooks("'./' before the location", &HOOKS.trim_end().replace("bin/", "./bin/"), OK),
        hooks(
            "several scripts without timeout",
            "hooks:\n  ApplicationStart:\n    - location: bin/handover\n    - location: smoke.sh",
            warns("may take 7200 s together"),
        ),
        hooks(
            "an event twice, the first of them wrong",
            "hooks:\n  ApplicationStart:\n    - location: \"\"\n  ApplicationStart:\n    - location: bin/handover",
            warns("for the second time"),
        ),
        hooks("a list of events", "hooks: [ApplicationStart]", both("they are no mapping of events")),
    ]
}

fn timeouts() -> Vec<Row> {
    let quoted = "it takes no quotes around a number";
    let no_number = "it is no whole number as it reads numbers";
    vec![
        script("no timeout", "timeout:", OK),
        script("null as timeout", "timeout: ~", OK),
        script("a timeout in quotes", "timeout: \"600\"", second(quoted)),
        script("a timeout with a unit", "timeout: 600s", second(no_number)),
        script("a timeout in words", "timeout: soon", ["it reads it as 0", no_number, ""]),
        script("a timeout of 0", "timeout: 0", both("it is less than 1 s")),
        script("a timeout below 0", "timeout: -1", ["it is less than 1 s", no_number, ""]),
        script("a timeout with a fraction", "timeout: 600.5", second(no_number)),
        script("a timeout with an exponent", "timeout: 6e2", second(no_number)),
        script("a leading zero", "timeout: 0600", second(no_number)),
        script("minutes and seconds", "timeout: 10:00", second(no_number)),
        script("underscores in a number", "timeout: 1_000", second(no_number)),
        script("commas in a number", "timeout: 1,000", second(no_number)),
        script("a timeout in base 16", "timeout: 0x258", OK),
        script("a timeout in YAML 1.2's base 8", "timeout: 0o1130", ["it reads it as 0", "", ""]),
        script("a timeout that 1.8 has no use for", "timeout: yes", ["it is no number", no_number, ""]),
        script("'off' as timeout", "timeout: off", second(no_number)),
        script("more than an hour", "timeout: 7200", warns("ends an event after 3600 s")),
        script("more than 32 bits", "timeout: 4294967296", second("it is too large")),
    ]
}

fn values() -> Vec<Row> {
    vec![
        script("an empty runas", "runas:\n      timeout: 600", OK),
        script("'no' as sudo", "sudo: no\n      timeout: 600", second("it is neither true nor false")),
        script("false as sudo", "sudo: false\n      timeout: 600", OK),
        script(
            "keys that are merged",
            "<<: {timeout: 600}",
            warns("this timeout differently: 1.8 as '600', 2.x as '3600'"),
        ),
        script("a list as timeout", "timeout: [600]", ["it is no number", "it is no whole number", ""]),
        script("a timeout twice", "timeout: 60\n      timeout: 600", second("for the second time")),
        script("a key that is not known twice", "x: 1\n      x: 2\n      timeout: 600", OK),
    ]
}

fn sections() -> Vec<Row> {
    let warning = "handover needs no files section";
    vec![
        beside("files", "files:\n  - source: /\n    destination: /opt/app", warns(warning)),
        beside("empty files", "files: []", OK),
        beside("files without a value", "files:", OK),
        beside("null as files", "files: ~", second("it is no list")),
        beside(
            "files as a mapping",
            "files: {source: /, destination: /opt/app}",
            ["it is a mapping, not a list", "it is no list", ""],
        ),
        beside("a file without destination", "files: [{source: /}]", both("it has no destination")),
        beside("a file without source", "files: [{destination: /opt}]", both("it has no source")),
        beside(
            "an empty destination",
            "files: [{source: /, destination: \"\"}]",
            second("it has no destination"),
        ),
        beside(
            "a number as source",
            "files: [{source: 1, destination: /opt}]",
            first("it takes only a text"),
        ),
        beside("file_exists_behavior", "file_exists_behavior: OVERWRITE", OK),
        beside(
            "file_exists_behavior in small letters",
            "file_exists_behavior: overwrite",
            both("it is written in capital letters"),
        ),
        beside(
            "another file_exists_behavior",
            "file_exists_behavior: KEEP",
            both("it is none of three words"),
        ),
        beside(
            "permissions as a mapping",
            "permissions: {object: /opt}",
            ["it is a mapping, not a list", "it is no list", ""],
        ),
        beside("a permission without object", "permissions: [{mode: 755}]", both("it has no object")),
        beside("permissions as texts", "permissions: [/opt/app]", both("it is no mapping")),
    ]
}

fn permissions() -> Vec<Row> {
    vec![
        permission("a mode", "mode: 755", OK),
        permission("a mode in quotes", "mode: \"0755\"", OK),
        permission("a mode with a leading zero", "mode: 0755", first("it reads it as 493")),
        permission("one that is a mode all the same", "mode: 0644", warns("1.8 as 0420, 2.x as 0644")),
        permission(
            "a mode with a 9",
            "mode: 999",
            ["it reads it as 999, and a mode has digits from 0 to 7", "a mode has digits from 0 to 7", ""],
        ),
        permission("five digits", "mode: \"00755\"", both("at most four digits")),
        permission("letters as mode", "mode: u+x", both("a mode has digits from 0 to 7")),
        permission("a text as type", "type: file", both("it is no list")),
        permission("another type", "type: [pipe]", both("it is neither file nor directory")),
        permission("a text as except", "except: \"*.log\"", both("it is no list")),
        permission("a mapping as except", "except: {a: b}", second("it is no list")),
        permission(
            "a tag and a comma",
            "type: [file, !!str, file]",
            both("it is neither file nor directory"),
        ),
        permission("a text as acls", "acls: user:bob:rwx", both("it is no list")),
        permission("an entry of acls", "acls: [\"user:bob:rwx\"]", OK),
        permission("an entry without its kind", "acls: [\"bob:rwx\"]", second("it is none")),
        permission("an entry of nobody", "acls: [\"user::rwx\"]", both("it is none")),
        permission("a context without type", "context: {name: a}", both("it has no type")),
        permission("a context", "context: {type: t, range: \"s0-s3:c0.c5\"}", OK),
        permission(
            "a range that ends before it begins",
            "context: {type: t, range: s3-s0}",
            both("it is none"),
        ),
        permission("a category twice", "context: {type: t, range: \"s0:c1,c1\"}", first("it is none")),
        permission("a number as owner", "owner: 1000", OK),
    ]
}
