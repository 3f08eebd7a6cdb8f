//! Which image a bundle means: `handover.pin`, `unpinned`, and tags that a build has written into a file.

use insta::assert_snapshot;

use crate::bundle::{Bundle, CONFIG, Seen};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn pin_of(tag: &str) -> String {
    format!("format = 1\n\n[[image]]\nname = \"default\"\ntag = \"{tag}\"\ndigest = \"{DIGEST}\"\n")
}

/// What `lint` says of a bundle with this line for its tag, and this pin.
fn with(tag: &str, pin: Option<&str>) -> Seen {
    let bundle = Bundle::with_a_script();
    bundle.write("handover.toml", &CONFIG.replacen("tag = \"v1\"", tag, 1));
    bundle.write("image-tag.txt", "latest\n");
    if let Some(pin) = pin {
        bundle.write("handover.pin", pin);
    }
    bundle.lint(&[]).seen()
}

const GOOD: &str = "exit: 0\n--- stdout\nhandover lint: no errors, no warnings";

#[test]
fn a_tag_that_moves_is_no_surprise_once_it_is_pinned() {
    assert!(with("tag = \"latest\"", None).to_string().contains("can move"));
    assert_eq!(with("tag = \"latest\"", Some(&pin_of("latest"))).to_string(), GOOD);
}

#[test]
fn a_pin_of_another_tag_is_old() {
    assert_snapshot!(with("tag = \"v2\"", Some(&pin_of("v1"))), @r#"
    exit: 2
    --- stdout
    error: handover.pin says what tag 'v1' means, and not 'v2'
     --> ./handover.toml:4:7
      |
    4 | tag = "v2"
      |       ^^^^ pin it where the bundle is made: handover pin

    handover lint: 1 error, no warnings
    "#);
}

#[test]
fn a_bundle_may_insist_on_a_pin() {
    let config = format!("unpinned = \"refuse\"\n{CONFIG}");
    let bundle = Bundle::new();
    bundle.write("handover.toml", &config);
    assert_snapshot!(bundle.hook("ApplicationStart").seen(), @r#"
    exit: 2
    --- stderr
    error: tag 'v1' is not pinned, and unpinned = "refuse"
     --> BUNDLE/handover.toml:5:7
      |
    5 | tag = "v1"
      |       ^^^^ pin it where the bundle is made: handover pin
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
    let bundle = Bundle::with_a_script();
    bundle.write("handover.toml", &config);
    bundle.write("handover.pin", &pin_of("v1"));
    assert_eq!(bundle.lint(&[]).seen().to_string(), GOOD);
}

#[test]
fn an_edited_pin_is_shown_where_it_is_wrong() {
    let edited = pin_of("v1").replace("sha256:00", "sha256:");
    assert_snapshot!(with("tag = \"v1\"", Some(&edited)), @r#"
exit: 2
--- stdout
error: 'sha256:00000000000000000000000000000000000000000000000000000000000000' is not a digest
 --> ./handover.pin:6:10
  |
6 | digest = "sha256:00000000000000000000000000000000000000000000000000000000000000"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write it anew: handover pin

handover lint: 1 error, no warnings
"#);
    assert_snapshot!(with("tag = \"v1\"", Some("")), @"
    exit: 2
    --- stdout
    error: missing field 'format'
     --> ./handover.pin:1:1
      |
    1 |
      | ^ write it anew: handover pin

    handover lint: 1 error, no warnings
    ");
}

#[test]
fn a_build_may_write_the_tag_into_a_file() {
    assert_eq!(with("tag = { file = \"image-tag.txt\" }", None).to_string(), GOOD);
    assert_snapshot!(with("tag = { file = \"tag.txt\" }", None), @r#"
    exit: 2
    --- stdout
    error: cannot read 'tag.txt' in the bundle: No such file or directory (os error 2)
     --> ./handover.toml:4:7
      |
    4 | tag = { file = "tag.txt" }
      |       ^^^^^^^^^^^^^^^^^^^^ here

    handover lint: 1 error, no warnings
    "#);
    assert_snapshot!(with("tag = { file = \"image-tag.txt\", name = \"web\" }", None), @r#"
    exit: 2
    --- stdout
    error: 'image-tag.txt' is a plain text, and has nothing called 'web': remove 'name'
     --> ./handover.toml:4:7
      |
    4 | tag = { file = "image-tag.txt", name = "web" }
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ here

    handover lint: 1 error, no warnings
    "#);
    assert_snapshot!(with("tag = { path = \"image-tag.txt\" }", None), @r#"
    exit: 2
    --- stdout
    error: write a tag, or { file = "image-tag.txt" }
     --> ./handover.toml:4:7
      |
    4 | tag = { path = "image-tag.txt" }
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^ here

    handover lint: 1 error, no warnings
    "#);
}
