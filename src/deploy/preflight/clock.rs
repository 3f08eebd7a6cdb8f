//! The clock: AWS refuses what was signed more than five minutes ago or ahead, and certificates are not valid yet.

use jiff::SignedDuration;

use super::Found;

/// How every sentence about it begins.
const CLOCK: &str = "the clock of this instance";
const TOO_FAR: SignedDuration = SignedDuration::from_mins(4);
const NOTICEABLE: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn check(ahead: Option<SignedDuration>, found: &mut Found) {
    let Some(ahead) = ahead else { return };
    // AWS may have refused a call for it already, and the finding says so.
    if found.findings.iter().any(|finding| finding.what.starts_with(CLOCK)) {
        return;
    }
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    let told = format!("{CLOCK} is {} s {side} that of AWS", ahead.abs().as_secs());
    if ahead.abs() > TOO_FAR {
        found.finding(
            told,
            "set it: 'timedatectl' says whether it is kept in time, 'chronyc makestep' sets it",
        );
    } else if ahead.abs() > NOTICEABLE {
        found.note(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_minutes_are_a_finding_and_half_a_minute_a_note() {
        for (seconds, findings, notes) in
            [(0, 0, 0), (30, 0, 0), (-31, 0, 1), (240, 0, 1), (241, 1, 0), (-86_400, 1, 0)]
        {
            let mut found = Found::default();
            check(Some(SignedDuration::from_secs(seconds)), &mut found);
            assert_eq!((found.findings.len(), found.notes.len()), (findings, notes), "{seconds}: {found:?}");
        }
    }

    #[test]
    fn what_aws_has_refused_is_not_told_twice() {
        let mut found = Found::default();
        found.finding("the clock of this instance is wrong, by 9 minutes", "");
        check(Some(SignedDuration::from_mins(9)), &mut found);
        assert_eq!(found.findings.len(), 1);
    }

    #[test]
    fn it_says_which_way() {
        let mut found = Found::default();
        check(Some(SignedDuration::from_secs(-600)), &mut found);
        assert_eq!(found.findings[0].what, "the clock of this instance is 600 s behind that of AWS");
    }
}
