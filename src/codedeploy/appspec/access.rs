//! The small languages inside `permissions`: modes, access control lists and ranges of `SELinux`, as each agent reads them.

/// What is wrong with a mode's text (`mode_info.rb`, `mode.rs`: the same rule, of Ruby's `to_s` and of the text as written).
pub(super) fn mode(text: &str) -> Option<&'static str> {
    if text.chars().count() > 4 {
        Some("a mode has at most four digits")
    } else if text.chars().any(|digit| !('0'..='7').contains(&digit)) {
        Some("a mode has digits from 0 to 7")
    } else {
        None
    }
}

/// Whether agent 1.8 takes an entry of `acls` (`ace_info.rb`).
pub(super) fn acl_of_1(entry: &str) -> bool {
    let parts: Vec<&str> = entry.split(':').rev().collect();
    if !(2..=4).contains(&parts.len()) {
        return false;
    }
    let is_default = |part: &str| matches!(part, "d" | "default");
    let mut default = parts.get(3).is_some_and(|part| is_default(part));
    if parts.len() == 4 && !default {
        return false;
    }
    let mut kind = None;
    if let Some(part) = parts.get(2) {
        if is_default(part) {
            if default {
                return false;
            }
            default = true;
        } else {
            kind = match kind_of(part) {
                None => return false,
                known => known,
            };
        }
    }
    let mut name = "";
    match (kind_of(parts[1]), kind) {
        (Some(other @ (Kind::Mask | Kind::Other)), None) => kind = Some(other),
        (_, known) => {
            kind = known.or(Some(Kind::User));
            name = parts[1];
        }
    }
    let kind = kind.unwrap_or(Kind::User);
    if matches!(kind, Kind::Mask | Kind::Other) && !name.is_empty() {
        return false;
    }
    (default || kind == Kind::Mask || !name.is_empty()) && are_rights(parts[0])
}

/// Whether agent 2.x takes an entry of `acls` (`acl.rs`).
pub(super) fn acl_of_2(entry: &str) -> bool {
    let parts: Vec<&str> = entry.split(':').collect();
    if !(3..=4).contains(&parts.len()) {
        return false;
    }
    let default = matches!(parts[0], "d" | "default");
    let [kind, name, rights, ..] = parts[usize::from(default)..] else { return false };
    let named = match kind_of(kind) {
        Some(Kind::User | Kind::Group) => default || !name.is_empty(),
        Some(Kind::Mask | Kind::Other) => name.is_empty(),
        None => false,
    };
    named && are_rights(rights)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Group,
    Mask,
    Other,
}

fn kind_of(part: &str) -> Option<Kind> {
    Some(match part {
        "u" | "user" => Kind::User,
        "g" | "group" => Kind::Group,
        "m" | "mask" => Kind::Mask,
        "o" | "other" => Kind::Other,
        _ => return None,
    })
}

/// `rwx` in any order, or one octal digit.
fn are_rights(rights: &str) -> bool {
    matches!(rights.as_bytes(), [b'0'..=b'7']) || rights.chars().all(|right| "rwx-".contains(right))
}

/// Whether agent 1.8 takes a `range` (`range_info.rb`): `s0-s3:c0.c5,c7`.
pub(super) fn range_of_1(range: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let number = |text: &str, letter: char| {
        let rest = text.strip_prefix(letter).filter(|rest| !rest.is_empty() && digits(rest))?;
        Some(rest.parse::<u64>().unwrap_or(u64::MAX))
    };
    let category = |text: &str| number(text, 'c').filter(|category| *category <= 1023);
    let (sensitivity, categories) = range.split_once(':').map_or((range, None), |(s, c)| (s, Some(c)));
    let (low, high) = sensitivity.split_once('-').unwrap_or((sensitivity, sensitivity));
    let (Some(low), Some(high)) = (number(low, 's'), number(high, 's')) else { return false };
    if high < low || categories == Some("") {
        return false;
    }
    let mut seen = Vec::new();
    // Ruby's split drops what is empty at the end.
    for part in
        categories.map_or("", |all| all.trim_end_matches(',')).split(',').filter(|_| categories.is_some())
    {
        let (low, high) = part.split_once('.').unwrap_or((part, part));
        match (category(low), category(high)) {
            (Some(low), Some(high)) if low <= high => seen.extend(low..=high),
            (None, None)
                if part.is_empty() && categories.is_some_and(|all| all.trim_end_matches(',').is_empty()) => {}
            _ => return false,
        }
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    seen.len() == all
}

/// Whether agent 2.x takes a `range` (`selinux.rs`). What stands behind a second `:`, `-` or `.` it does not look at.
pub(super) fn range_of_2(range: &str) -> bool {
    let mut parts = range.split(':');
    let mut ends = parts.next().unwrap_or_default().split('-');
    let sensitivity = |text: &str| text.strip_prefix('s').and_then(|number| number.parse::<u8>().ok());
    let category = |text: &str| {
        text.strip_prefix('c').and_then(|number| number.parse::<u16>().ok()).filter(|c| *c <= 1023)
    };
    let Some(low) = ends.next().and_then(sensitivity) else { return false };
    let is_ordered = ends.next().is_none_or(|high| sensitivity(high).is_some_and(|high| high >= low));
    is_ordered
        && parts.next().is_none_or(|categories| {
            categories.split(',').all(|part| {
                let mut ends = part.split('.');
                let low = ends.next().and_then(category);
                low.is_some() && ends.next().is_none_or(|high| category(high) >= low)
            })
        })
}
