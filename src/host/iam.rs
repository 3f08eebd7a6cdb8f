//! What IAM says when it refuses: who may not do what, and which policy is the reason. Registries and AWS's APIs pass the
//! same sentence on. Pure.

/// `User: ARN is not authorized to perform: ACTION on resource: ARN because no KIND policy allows the ACTION action`, or
/// `… with an explicit deny in a KIND policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The action, such as `ecr:BatchGetImage`.
    pub action: &'a str,
    /// What it was to be done with, where that is said.
    pub resource: Option<&'a str>,
    /// The account of whoever asked.
    pub account: Option<&'a str>,
    /// The kind of policy that is the reason, where that is said: `identity-based`, `VPC endpoint`, `service control`.
    pub policy: Option<&'a str>,
    /// Whether that policy denies it, and does not merely lack it.
    pub is_explicit: bool,
}

impl<'a> Refusal<'a> {
    /// Out of a message that contains it.
    pub fn in_text(text: &'a str) -> Option<Self> {
        let (before, after) = text.split_once("not authorized to perform: ")?;
        let action = first_word(after)?;
        // A service's prefix and an action; anything else is somebody else's sentence.
        let (service, name) = action.split_once(':')?;
        if service.is_empty() || name.is_empty() {
            return None;
        }
        let account = before.split_once("arn:aws").and_then(|(_, arn)| arn.split(':').nth(3));
        let between = |start: &str, end: &str| Some(after.split_once(start)?.1.split_once(end)?.0.trim());
        let denied =
            between("explicit deny in a ", " policy").or_else(|| between("explicit deny in an ", " policy"));
        Some(Self {
            action,
            resource: after.split_once("on resource: ").and_then(|(_, resource)| first_word(resource)),
            account: account.filter(|account| account.len() == 12),
            policy: denied.or_else(|| between("because no ", " policy")),
            is_explicit: after.contains("explicit deny"),
        })
    }

    /// The policy that has to change, in words that follow "in" or stand before "denies it".
    pub fn place(&self) -> Option<String> {
        match self.policy? {
            "identity-based" => None,
            "resource-based" => Some("the resource's own policy".to_owned()),
            kind @ ("VPC endpoint" | "session") => Some(format!("the {kind} policy")),
            kind => Some(format!("the organization's {kind} policy")),
        }
    }

    /// What has to be said beside "allow it in the role's policy"; empty where nothing has.
    pub fn beside_the_role(&self) -> String {
        let place = self.place();
        match (self.is_explicit, place) {
            (true, place) => {
                format!(
                    "; {} denies it explicitly",
                    place.unwrap_or_else(|| "one of its policies".to_owned())
                )
            }
            (false, Some(place)) => format!("; it is {place} that does not allow it"),
            (false, None) => String::new(),
        }
    }
}

/// Up to white space or what ends a clause.
fn first_word(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?.trim_end_matches([',', '.', ';', '"']);
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "User: arn:aws:sts::123456789012:assumed-role/web/i-0 is not authorized to perform:";

    #[test]
    fn the_action_the_resource_the_account_and_the_policy_are_read_off_the_sentence() {
        for (rest, action, resource, beside) in [
            ("ecr:BatchGetImage", "ecr:BatchGetImage", None, ""),
            (
                "ecr:BatchImportUpstreamImage on resource: arn:aws:ecr:eu-west-1:1:repository/hub/nginx because no \
                 identity-based policy allows the ecr:BatchImportUpstreamImage action",
                "ecr:BatchImportUpstreamImage",
                Some("arn:aws:ecr:eu-west-1:1:repository/hub/nginx"),
                "",
            ),
            (
                "secretsmanager:GetSecretValue on resource: x because no VPC endpoint policy allows the y action",
                "secretsmanager:GetSecretValue",
                Some("x"),
                "; it is the VPC endpoint policy that does not allow it",
            ),
            (
                "kms:Decrypt on resource: x because no resource-based policy allows the kms:Decrypt action",
                "kms:Decrypt",
                Some("x"),
                "; it is the resource's own policy that does not allow it",
            ),
            (
                "ecr:BatchGetImage on resource: x with an explicit deny in a service control policy",
                "ecr:BatchGetImage",
                Some("x"),
                "; the organization's service control policy denies it explicitly",
            ),
            (
                "ecr:BatchGetImage on resource: x with an explicit deny in an identity-based policy",
                "ecr:BatchGetImage",
                Some("x"),
                "; one of its policies denies it explicitly",
            ),
        ] {
            let text = format!("denied: {ROLE} {rest}");
            let refusal = Refusal::in_text(&text).unwrap();
            assert_eq!((refusal.action, refusal.resource), (action, resource), "{text}");
            assert_eq!((refusal.account, refusal.beside_the_role().as_str()), (Some("123456789012"), beside));
        }
        for other in ["denied", "not authorized to perform: this", "403 Forbidden"] {
            assert_eq!(Refusal::in_text(other), None, "{other}");
        }
    }
}
