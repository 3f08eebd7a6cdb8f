//! Secrets Manager, ECR's API, and the instance's credentials.

use anyhow::Result;
use insta::assert_snapshot;
use lab::Fault;
use lab::names::{CACHE_PASSWORD, DATABASE_PASSWORD, DATABASE_USER, RDS_MANAGED_SECRET, REDIS_SECRET};
use serde_json::json;
use world::Bundle;

use crate::case::Case;

const KIND: &str = "AWS";
const GET: &str = "GetSecretValue";

fn v2() -> Bundle {
    Bundle::of("v2")
}

/// What RDS manages, as it was.
fn managed() -> String {
    json!({ "username": DATABASE_USER, "password": DATABASE_PASSWORD }).to_string()
}

#[test]
fn a_missing_secret() -> Result<()> {
    let case = Case::of(KIND, "secret missing")?;
    let aws = case.world.lab.aws()?;
    aws.delete_secret(REDIS_SECRET)?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   AWS refuses to read secret 'prod/status-page/redis' (secretsmanager:GetSecretValue):
           ResourceNotFoundException: Secrets Manager can't find the specified secret.
    fix:   asked in eu-west-1: check its name with 'aws secretsmanager list-secrets --region eu-west-1', and write the
           full ARN if it is in another account or region than the image's repository
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    aws.put_secret(REDIS_SECRET, CACHE_PASSWORD)?;
    case.mended()
}

#[test]
fn a_secret_that_is_denied() -> Result<()> {
    let case = Case::of(KIND, "secret denied")?;
    let aws = case.world.lab.aws()?;
    let message = "User: arn:aws:sts::123456789012:assumed-role/lab-instance-role/i-0 is not authorized to \
                   perform: secretsmanager:GetSecretValue on resource: prod/status-page/redis because no \
                   identity-based policy allows the secretsmanager:GetSecretValue action";
    let denied = Fault { message: Some(message.to_owned()), ..Fault::error(400, "AccessDeniedException") };
    aws.set_faults([(GET, denied.matching(REDIS_SECRET))])?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   AWS refuses to read secret 'prod/status-page/redis' (secretsmanager:GetSecretValue): AccessDeniedException:
           User: arn:aws:sts::123456789012:assumed-role/lab-instance-role/i-0 is not authorized to perform:
           secretsmanager:GetSecretValue on resource: prod/status-page/redis because no identity-based policy allows the
           secretsmanager:GetSecretValue action
    fix:   allow secretsmanager:GetSecretValue on
           arn:aws:secretsmanager:eu-west-1:ACCOUNT:secret:prod/status-page/redis-??????, in the policy of the instance
           profile's role
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    let asked = aws.call_log()?.iter().filter(|call| call.fault).count();
    // By the hook, and by the plan that it names next.
    assert_eq!(asked, 2, "what is denied is not asked for again");
    aws.clear_faults()?;
    case.mended()
}

#[test]
fn throttled_for_a_while() -> Result<()> {
    let case = Case::of(KIND, "throttled for a while")?;
    let aws = case.world.lab.aws()?;
    let throttled = Fault::error(400, "ThrottlingException").times(2);
    aws.set_faults([(GET, throttled.clone()), ("GetAuthorizationToken", throttled)])?;
    case.succeeds(&v2())
}

#[test]
fn throttled_for_ever() -> Result<()> {
    let case = Case::of(KIND, "throttled for ever")?;
    let aws = case.world.lab.aws()?;
    aws.set_faults([(GET, Fault::error(400, "ThrottlingException"))])?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   2 findings
      1.   AWS refuses to read secret 'prod/status-page/redis' (secretsmanager:GetSecretValue): ThrottlingException: a
           fault of the lab
      fix: tried 4 times: deploy to fewer instances at a time, or later
      2.   AWS refuses to read secret 'rds!db-0123' (secretsmanager:GetSecretValue): ThrottlingException: a fault of the
           lab
      fix: tried 4 times: deploy to fewer instances at a time, or later
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    aws.clear_faults()?;
    case.mended()
}

#[test]
fn a_null_in_a_secret() -> Result<()> {
    let case = Case::of(KIND, "member of a secret is null")?;
    let aws = case.world.lab.aws()?;
    aws.put_secret(RDS_MANAGED_SECRET, r#"{"username":"sp","password":null}"#)?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   environment variable 'DATABASE_PASSWORD': field 'password' of secret 'rds!db-0123' is null: only strings,
           numbers and booleans can be injected
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    aws.put_secret(RDS_MANAGED_SECRET, &managed())?;
    case.mended()
}

#[test]
fn a_secret_that_is_not_json() -> Result<()> {
    let case = Case::of(KIND, "secret is not JSON")?;
    let aws = case.world.lab.aws()?;
    aws.put_secret(RDS_MANAGED_SECRET, "password=Tok#en^1")?;
    assert_snapshot!(case.refused(&v2())?, @r#"
    BeforeInstall ends with 1
    why:   secret 'rds!db-0123' is not a JSON object: its JSON is broken at line 1, column 1
    fix:   if it is plain text, write format = "text" in [secret.database]
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    aws.put_secret(RDS_MANAGED_SECRET, &managed())?;
    case.mended()
}

#[test]
fn a_binary_secret() -> Result<()> {
    let case = Case::of(KIND, "secret is binary")?;
    let aws = case.world.lab.aws()?;
    aws.put_secret_binary(RDS_MANAGED_SECRET, "AAEC")?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   AWS's answer to 'read secret 'rds!db-0123' (secretsmanager:GetSecretValue)' has binary data (SecretBinary),
           and only text can be injected: store it as a SecretString
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    aws.put_secret(RDS_MANAGED_SECRET, &managed())?;
    case.mended()
}

#[test]
fn a_secret_scheduled_for_deletion() -> Result<()> {
    let case = Case::of(KIND, "secret scheduled for deletion")?;
    let aws = case.world.lab.aws()?;
    aws.schedule_secret_deletion(RDS_MANAGED_SECRET)?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   AWS refuses to read secret 'rds!db-0123' (secretsmanager:GetSecretValue): InvalidRequestException: An error
           occurred (InvalidRequestException) when calling the GetSecretValue operation: You tried to perform the
           operation on a secret that's currently marked deleted.
    fix:   restore it: aws secretsmanager restore-secret --secret-id rds!db-0123 --region eu-west-1
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    aws.restore_secret(RDS_MANAGED_SECRET)?;
    case.mended()
}

#[test]
fn no_credentials() -> Result<()> {
    let case = Case::of(KIND, "no credentials: the instance has no role")?;
    let web = &case.world.web;
    let metadata = web.metadata()?;
    web.set_metadata(&lab::Metadata { role: None, ..metadata.clone() })?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   no credentials for AWS: this instance has no IAM role
    fix:   attach an instance profile to it (aws ec2 associate-iam-instance-profile)
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    web.set_metadata(&metadata)?;
    case.mended()
}

#[test]
fn metadata_that_never_answer() -> Result<()> {
    let case = Case::of(KIND, "IMDS takes connections and never answers")?;
    let web = &case.world.web;
    let metadata = web.metadata()?;
    web.set_metadata(&lab::Metadata { silent: true, ..metadata.clone() })?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   no credentials for AWS: the instance metadata service (169.254.169.254) does not answer
    fix:   check that it is enabled (aws ec2 modify-instance-metadata-options --http-endpoint enabled), that nothing
           blocks that address, and, if handover runs in a container, that the hop limit is 2
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    web.set_metadata(&metadata)?;
    case.mended()
}

#[test]
fn metadata_behind_a_firewall() -> Result<()> {
    let case = Case::of(KIND, "IMDS: packets are dropped")?;
    case.world.web.drop_metadata(true)?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   no credentials for AWS: the instance metadata service (169.254.169.254) does not answer
    fix:   check that it is enabled (aws ec2 modify-instance-metadata-options --http-endpoint enabled), that nothing
           blocks that address, and, if handover runs in a container, that the hop limit is 2
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.web.drop_metadata(false)?;
    case.mended()
}

#[test]
fn metadata_that_are_refused() -> Result<()> {
    let case = Case::of(KIND, "IMDS: connections are refused")?;
    case.world.web.stop_metadata()?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   no credentials for AWS: the instance metadata service (169.254.169.254) does not answer
    fix:   check that it is enabled (aws ec2 modify-instance-metadata-options --http-endpoint enabled), that nothing
           blocks that address, and, if handover runs in a container, that the hop limit is 2
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.web.start_metadata()?;
    case.mended()
}

#[test]
fn ecr_that_is_denied() -> Result<()> {
    let case = Case::of(KIND, "ecr:GetAuthorizationToken denied")?;
    let aws = case.world.lab.aws()?;
    aws.set_faults([("GetAuthorizationToken", Fault::error(400, "AccessDeniedException"))])?;
    assert_snapshot!(case.refused(&v2())?, @r"
    BeforeInstall ends with 1
    why:   AWS refuses to get a password for registry '123456789012.dkr.ecr.eu-west-1.amazonaws.com' in eu-west-1
           (ecr:GetAuthorizationToken): AccessDeniedException: a fault of the lab
    fix:   allow ecr:GetAuthorizationToken on *, in the policy of the instance profile's role
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    aws.clear_faults()?;
    case.mended()
}
