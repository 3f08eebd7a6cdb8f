//! `handover.toml` and the templates in it.

use std::process::Stdio;

use anyhow::Result;
use insta::assert_snapshot;
use world::Bundle;

use crate::case::Case;

const KIND: &str = "configuration";

fn v2() -> Bundle {
    Bundle::of("v2")
}

#[test]
fn malformed_toml() -> Result<()> {
    let case = Case::of(KIND, "malformed TOML")?;
    let told = case.refused(&v2().edit("[image]", "[image"))?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 2
    error: unclosed table, expected ']'
     --> BUNDLE/handover.toml:5:7
      |
    5 | [image
      |       ^ here
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    case.mended()
}

#[test]
fn an_unknown_key() -> Result<()> {
    let case = Case::of(KIND, "unknown key")?;
    let told = case.refused(&v2().edit("successes ", "sucesses "))?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 2
    error: unknown key 'sucesses'
      --> BUNDLE/handover.toml:37:1
       |
    37 | sucesses   = 3                       # in a row ...
       | ^^^^^^^^ did you mean 'successes'?
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    case.mended()
}

#[test]
fn an_undefined_name_in_a_template() -> Result<()> {
    let case = Case::of(KIND, "undefined name in a template")?;
    let told = case.refused(&v2().edit("{{ redis.value", "{{ redis.valeu"))?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 1
    why:   environment variable 'REDIS_URL': its template fails in line 1: field 'valeu' is not in secret
           'prod/status-page/redis', which has only 'value'; add it to [secret.redis] fields, or give it a default
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended()
}

#[test]
fn an_unknown_group() -> Result<()> {
    let case = Case::of(KIND, "unknown deployment group")?;
    let path = case.world.bundle(&v2())?;
    let mut agent = case.world.agent("v1", &[]);
    agent.args(["deploy", "--bundle", &path, "--deployment-id", "d-000000002", "--group", "prod"]);
    let told = case.refused_in(agent.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)?;
    assert_snapshot!(told, @r#"
    BeforeInstall ends with 2
    error: DEPLOYMENT_GROUP_NAME is 'prod', which is none of these groups
     --> BUNDLE/handover.toml:3:10
      |
    3 | groups = ["test", "production"]       # deployment groups that this is for; any other one is refused
      |          ^^^^^^^^^^^^^^^^^^^^^^ did you mean 'production'?
    handover: FAILED (exit 2): nothing was changed
    "#);
    case.mended()
}

#[test]
fn a_service_where_there_is_something_to_lose() -> Result<()> {
    let case = Case::of(KIND, "service outside of a disposable group")?;
    let told = case.refused(&v2().edit("[process.web]\n", "[service.database]\n\n[process.web]\n"))?;
    assert_snapshot!(told, @r"
    BeforeInstall ends with 2
    error: service 'database' is only for a group with nothing to lose
      --> BUNDLE/handover.toml:26:10
       |
    26 | [service.database]
       |          ^^^^^^^^ write it in a [group.NAME] with disposable = true, or use a server that outlives the instance
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    ");
    case.mended()
}
