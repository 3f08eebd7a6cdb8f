//! Where both agents accept a file and make something else of it.

use crate::codedeploy::appspec::reading::{Permission, Reading, Script};
use crate::config::diagnostic::Mistake;

/// Warnings for what agent 1.8 reads otherwise than 2.x.
pub(super) fn differences(first: &Reading, second: &Reading) -> Vec<Mistake> {
    let mut found = Vec::new();
    for event in &first.events {
        let other = second.events.iter().find(|other| other.name == event.name);
        let scripts = other.map_or(&[][..], |other| other.scripts.as_slice());
        if event.scripts.len() == scripts.len() {
            event.scripts.iter().zip(scripts).for_each(|(a, b)| script(a, b, &mut found));
        } else {
            let what = format!(
                "CodeDeploy's agents read this event differently: 1.8 {}, 2.x {}",
                count(&event.scripts),
                count(scripts)
            );
            found
                .push(Mistake::warning(event.span.clone(), what).help("write its name and its list plainly"));
        }
    }
    for event in second.events.iter().filter(|event| !event.scripts.is_empty()) {
        if !first.events.iter().any(|other| other.name == event.name) {
            let what = format!(
                "CodeDeploy's agents read this event differently: 1.8 none, 2.x {}",
                count(&event.scripts)
            );
            found
                .push(Mistake::warning(event.span.clone(), what).help("write its name and its list plainly"));
        }
    }
    for (a, b) in first.permissions.iter().zip(&second.permissions) {
        mode(a, b, &mut found);
    }
    found
}

fn count(scripts: &[Script]) -> String {
    match scripts.len() {
        0 => "none".to_owned(),
        1 => "1 script".to_owned(),
        several => format!("{several} scripts"),
    }
}

fn script(first: &Script, second: &Script, found: &mut Vec<Mistake>) {
    let mut warn = |span: &std::ops::Range<usize>, key: &str, a: String, b: String| {
        if a != b {
            let what = format!("CodeDeploy's agents read this {key} differently: 1.8 as '{a}', 2.x as '{b}'");
            let help = if key == "timeout" { "write a whole number" } else { "write it in quotes" };
            found.push(Mistake::warning(span.clone(), what).help(help));
        }
    };
    warn(&first.location_span, "location", first.location.clone(), second.location.clone());
    let span = first.timeout_span.as_ref().unwrap_or(&first.location_span);
    warn(span, "timeout", first.timeout.as_secs().to_string(), second.timeout.as_secs().to_string());
    let user = |script: &Script| script.runas.clone().unwrap_or_default();
    warn(&first.runas_span, "runas", user(first), user(second));
    warn(&first.sudo_span, "sudo", first.sudo.to_string(), second.sudo.to_string());
}

/// 0644 is the number 420 for 1.8, which is a mode, too.
fn mode(first: &Permission, second: &Permission, found: &mut Vec<Mistake>) {
    let (Some(a), Some(b)) = (&first.mode, &second.mode) else { return };
    if u32::from_str_radix(a, 8) != u32::from_str_radix(b, 8) {
        let what = format!("CodeDeploy's agents read this mode differently: 1.8 as 0{a}, 2.x as {b}");
        found.push(Mistake::warning(first.mode_span.clone(), what).help(format!("write \"{b}\", in quotes")));
    }
}
