//! Parameter Store.

use super::*;

fn parameter(name: &str) -> ParameterVersion {
    ParameterVersion { parameter: name.to_owned(), region: "eu-west-1".to_owned(), selector: None }
}

fn below(path: &str) -> ParametersBelow {
    ParametersBelow { path: path.to_owned(), region: "eu-west-1".to_owned(), known: None }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_parameter_store_says_what_to_do() {
    let role = "User: arn:aws:sts::123456789012:assumed-role/r/i is not authorized to perform:";
    let denied = |rest: &str| format!("{role} {rest}");
    for (name, message, tries, words) in [
        (
            "ParameterNotFound",
            String::new(),
            1,
            ["'/prod/db'", "ssm:GetParameter)", "describe-parameters --region eu-west-1", "full ARN"],
        ),
        (
            "ParameterVersionNotFound",
            "Systems Manager could not find version 9".to_owned(),
            1,
            ["'/prod/db'", "version or label", "get-parameter-history --name /prod/db", "eu-west-1"],
        ),
        (
            "AccessDeniedException",
            denied(
                "ssm:GetParameter on resource: arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db because no identity-based policy allows the ssm:GetParameter action",
            ),
            1,
            ["allow ssm:GetParameter on arn:aws:ssm:eu-west-1:ACCOUNT:parameter/prod/db,", "role", "", ""],
        ),
        (
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.".to_owned(),
            1,
            ["allow kms:Decrypt on the key that encrypts '/prod/db'", "key's own policy", "", ""],
        ),
        (
            "AccessDeniedException",
            denied("kms:Decrypt on resource: arn:aws:kms:eu-west-1:123456789012:key/1 because no resource-based policy allows the kms:Decrypt action"),
            1,
            ["allow kms:Decrypt on the key that encrypts '/prod/db'", "the resource's own policy", "", ""],
        ),
        (
            "InvalidKeyId",
            "arn:aws:kms:eu-west-1:123456789012:key/1 is disabled.".to_owned(),
            1,
            ["enabled", "kms:Decrypt", "Key=Name,Values=/prod/db", ""],
        ),
        ("ThrottlingException", "Rate exceeded".to_owned(), 4, ["tried 4 times", "fewer instances", "", ""]),
    ] {
        let (error, asked) = asked_for(400, body(name, &message), jiff::Timestamp::now(), async |aws| {
            aws.parameter(&parameter("/prod/db")).await.map(drop)
        })
        .await;
        for word in words {
            assert!(error.contains(word), "'{word}' is missing for {name}: {error}");
        }
        assert_eq!(asked, tries, "{name}: {error}");
    }
}

/// The commands that a fix names take no ARN.
#[tokio::test(start_paused = true)]
async fn an_arn_is_named_by_its_name_where_a_command_takes_no_other() {
    let arn = "arn:aws:ssm:eu-west-1:210987654321:parameter/prod/db";
    let ask = async |aws: Aws| aws.parameter(&parameter(arn)).await.map(drop);
    for (code, words) in [
        ("ParameterVersionNotFound", "--name /prod/db --region eu-west-1"),
        ("InvalidKeyId", "Key=Name,Values=/prod/db --region eu-west-1"),
        (
            "AccessDeniedException",
            "allow ssm:GetParameter on arn:aws:ssm:eu-west-1:210987654321:parameter/prod/db,",
        ),
    ] {
        let (error, _) = asked_for(400, body(code, "no"), jiff::Timestamp::now(), ask).await;
        assert!(error.contains(words), "{words}: {error}");
    }
    let (missing, _) = asked_for(400, body("ParameterNotFound", ""), jiff::Timestamp::now(), ask).await;
    assert!(!missing.contains("full ARN"), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn a_path_is_named_with_its_own_action_and_has_to_have_something_below_it() {
    let ask = async |aws: Aws| aws.parameters(&below("/prod/app")).await.map(drop);
    let now = jiff::Timestamp::now();
    let (denied, _) = asked_for(400, body("AccessDeniedException", "no"), now, ask).await;
    for word in [
        "the parameters below '/prod/app/' (ssm:GetParametersByPath)",
        "allow ssm:GetParametersByPath on arn:aws:ssm:eu-west-1:ACCOUNT:parameter/prod/app and arn:aws:ssm:eu-west-1:ACCOUNT:parameter/prod/app/*",
    ] {
        assert!(denied.contains(word), "'{word}' is missing: {denied}");
    }
    let (empty, asked) = asked_for(200, r#"{"Parameters": []}"#.to_owned(), now, ask).await;
    assert!(empty.contains("no parameter below '/prod/app/' in eu-west-1"), "{empty}");
    assert!(empty.contains("Key=Path,Option=Recursive,Values=/prod/app") && asked == 1, "{asked}: {empty}");
    let aws = with(network(|| Some(ConnectorError::timeout("connect timed out".into()))));
    let silent = said(&aws.parameters(&below("/prod/app")).await.unwrap_err());
    assert!(silent.contains("com.amazonaws.eu-west-1.ssm"), "{silent}");
}
