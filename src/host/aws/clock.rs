//! A wrong clock: AWS refuses every signature that is more than a few minutes off.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::model::Finding;
use crate::text::duration;

/// The finding that the clock of this instance is wrong, if an error says so; and by how much, if the answer has a date.
pub(super) fn wrong_clock(code: &str, message: &str, date: Option<&str>) -> Option<Finding> {
    let is_about_time = match code {
        "RequestTimeTooSkewed" | "RequestInTheFuture" | "RequestExpired" => true,
        // `Signature expired: 20261123T… is now earlier than …`, `Signature not yet current: …`.
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            let message = message.to_ascii_lowercase();
            message.contains("signature expired") || message.contains("not yet current")
        }
        _ => false,
    };
    // In whole minutes: several answers are to say the same, and less is no reason to refuse anything.
    let off = date.and_then(|date| rfc2822::parse(date).ok()).and_then(|theirs| {
        let ahead = Timestamp::now().duration_since(theirs.timestamp());
        let side = if ahead.is_negative() { "behind" } else { "ahead of" };
        let minutes = (ahead.as_secs().unsigned_abs() + 30) / 60;
        (minutes > 0).then(|| format!(" ({} {side} AWS's)", duration(Duration::from_mins(minutes))))
    });
    is_about_time.then(|| {
        Finding::new(
            format!(
                "the clock of this instance is wrong{}, so AWS refuses its requests ({code})",
                off.unwrap_or_default()
            ),
            "set it with 'chronyc makestep', and let it follow the Amazon Time Sync Service (169.254.169.123)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_time_are_about_the_clock() {
        let an_hour_ahead = rfc2822::to_string(
            &(Timestamp::now() + jiff::SignedDuration::from_mins(90)).to_zoned(jiff::tz::TimeZone::UTC),
        )
        .unwrap();
        let what = wrong_clock("RequestTimeTooSkewed", "", Some(&an_hour_ahead)).unwrap().what;
        assert!(
            what.contains("(1 h 29 min behind AWS's)") || what.contains("(1 h 30 min behind AWS's)"),
            "{what}"
        );
        for message in
            ["Signature expired: 20260101T000000Z is now earlier than", "Signature not yet current: x"]
        {
            assert!(wrong_clock("InvalidSignatureException", message, None).is_some());
        }
        assert_eq!(
            wrong_clock("InvalidSignatureException", "The request signature we calculated", None),
            None
        );
        assert_eq!(wrong_clock("AccessDeniedException", "Signature expired", Some(&an_hour_ahead)), None);
    }
}
