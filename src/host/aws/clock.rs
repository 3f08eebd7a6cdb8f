//! A clock that is wrong: AWS refuses every signature that is more than some minutes off.

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::model::Finding;

/// Whether an error says that the clock of this instance is wrong, and by how much if the answer says what time it is.
pub(super) fn is_wrong(code: &str, message: &str, date: Option<&str>) -> Option<Finding> {
    let is_about_time = match code {
        "RequestTimeTooSkewed" | "RequestInTheFuture" | "RequestExpired" => true,
        // `Signature expired: 20261123T… is now earlier than …`, `Signature not yet current: …`.
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            let message = message.to_ascii_lowercase();
            message.contains("signature expired") || message.contains("not yet current")
        }
        _ => false,
    };
    let off = date.and_then(|date| rfc2822::parse(date).ok()).map(|theirs| {
        let seconds = Timestamp::now().duration_since(theirs.timestamp()).as_secs();
        let side = if seconds < 0 { "behind" } else { "ahead of" };
        format!(", by {} {side} AWS's", rounded(seconds.unsigned_abs()))
    });
    is_about_time.then(|| {
        Finding::new(
            format!(
                "the clock of this instance is wrong{}, so AWS refuses what it signs ({code})",
                off.unwrap_or_default()
            ),
            "set it with 'chronyc makestep', and let it follow the Amazon Time Sync Service (169.254.169.123)",
        )
    })
}

fn rounded(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3600),
    }
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
        let told = is_wrong("RequestTimeTooSkewed", "", Some(&an_hour_ahead)).unwrap().what;
        assert!(told.contains("by 89 minutes behind") || told.contains("by 90 minutes behind"), "{told}");
        for message in
            ["Signature expired: 20260101T000000Z is now earlier than", "Signature not yet current: x"]
        {
            assert!(is_wrong("InvalidSignatureException", message, None).is_some());
        }
        assert_eq!(is_wrong("InvalidSignatureException", "The request signature we calculated", None), None);
        assert_eq!(is_wrong("AccessDeniedException", "Signature expired", Some(&an_hour_ahead)), None);
    }
}
