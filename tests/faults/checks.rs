//! What the application needs of others and is checked: at each layer at which that may come to an end.

use std::process::Child;

use anyhow::{Result, ensure};
use insta::assert_snapshot;
use lab::names::{DATA, RDS_MANAGED_SECRET};
use lab::wait_until;
use world::{Bundle, PATIENCE, World};

use crate::case::Case;

const KIND: &str = "backend";

const DATABASE: &str = "[check.database]\npostgres = { secret = \"database\", ca = \"/etc/ssl/rds.pem\" }\n\
    timeout = \"2s\"\ndeadline = \"2s\"\n";

/// A release with these checks.
fn with(tag: &'static str, checks: &str) -> Bundle {
    Bundle::of(tag).edit("[process.web]\n", &format!("{checks}[process.web]\n"))
}

fn v2(checks: &str) -> Bundle {
    with("v2", checks)
}

/// An instance that has the CA of its database, where release v1 serves, which asked for nothing.
fn world() -> Result<World> {
    let world = World::with_v1()?;
    trust(&world, &world.lab.dir().join("vpc/ca.pem"))?;
    Ok(world)
}

fn trust(world: &World, ca: &std::path::Path) -> Result<()> {
    std::fs::copy(ca, world.web.path("/etc/ssl/rds.pem"))?;
    Ok(())
}

#[test]
fn a_database_that_is_down() -> Result<()> {
    let case = Case::on(world()?, KIND, "check: the database is down")?;
    case.world.lab.stop("database")?;
    // Without it live does not answer either: that it was not touched is seen when the database is back.
    assert_snapshot!(case.replaced_in(case.begin("v1", &v2(DATABASE))?)?, @r"
    ApplicationStart ends with 1
    why:   check.database: connect: db.internal:5432 (10.66.0.4): Connection refused (os error 111)
    fix:   the host is there, and nothing listens: is the server up, and is the port right?
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.lab.start("database")?;
    case.is_untouched()?;
    case.mended_by(&v2(DATABASE))
}

#[test]
fn a_database_that_is_down_for_live_too() -> Result<()> {
    let world = World::up()?;
    trust(&world, &world.lab.dir().join("vpc/ca.pem"))?;
    // A gate that does not ask for the database itself.
    let bundle = |tag| with(tag, DATABASE).edit("\"/health\"", "\"/ping\"");
    let first = world.deploy("d-000000001", &bundle("v1"))?;
    ensure!(first.succeeded(), "{first:?}");
    let case = Case::on(world, KIND, "check: the database is down, for live, too")?;
    case.world.lab.stop("database")?;
    let mut deployment = case.begin("v1", &bundle("v2"))?;
    wait_until("it is over", PATIENCE, || Ok(deployment.try_wait()?.is_some()))?;
    // Without it nobody sees which release answers.
    case.world.lab.start("database")?;
    case.succeeds_in(deployment, "v2")
}

/// The first half of a rotation: the old password is dead.
fn alter_the_password(world: &World) -> Result<()> {
    world.lab.sql("ALTER ROLE sp PASSWORD 'another'").map(drop)
}

/// The second half.
fn tell_the_secret(world: &World) -> Result<()> {
    let secret = "{\"username\":\"sp\",\"password\":\"another\"}";
    world.lab.aws()?.put_secret(RDS_MANAGED_SECRET, secret).map(drop)
}

#[test]
fn a_password_that_was_rotated() -> Result<()> {
    let case = Case::on(world()?, KIND, "check: the database has another password")?;
    alter_the_password(&case.world)?;
    assert_snapshot!(case.refused(&v2(DATABASE))?, @r#"
    ApplicationStart ends with 1
    why:   check.database: authentication: db.internal:5432 refuses: password authentication failed for user "sp" (28P01)
    fix:   the password in secret 'database' is not the database's: was it rotated? A new deployment reads the newest
           version; look at the secret's rotation, and at the user
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    tell_the_secret(&case.world)?;
    case.mended_by(&v2(DATABASE))
}

#[test]
fn a_password_that_is_rotated_between_two_hooks() -> Result<()> {
    let case = Case::on(world()?, KIND, "check: the database's password is rotated between two hooks")?;
    case.prepared(&v2(DATABASE))?;
    alter_the_password(&case.world)?;
    tell_the_secret(&case.world)?;
    let told = case.refused_in(case.goes_on(&v2(DATABASE), "ApplicationStart,ValidateService")?)?;
    assert_snapshot!(told, @r#"
    ApplicationStart ends with 1
    why:   check.database: authentication: db.internal:5432 refuses: password authentication failed for user "sp" (28P01)
    fix:   the password in secret 'database' is not the database's: was it rotated? A new deployment reads the newest
           version; look at the secret's rotation, and at the user
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    // As it says: a new deployment reads the newest version.
    case.mended_by(&v2(DATABASE))
}

/// Nothing but the version of the secret tells: the containers are made, and live has the same password.
#[test]
fn a_password_that_is_rotated_and_that_no_check_asks_for() -> Result<()> {
    let case = Case::on(
        world()?,
        KIND,
        "the database's password is rotated between two hooks, and no check asks for it",
    )?;
    case.prepared(&v2(""))?;
    alter_the_password(&case.world)?;
    tell_the_secret(&case.world)?;
    let told = case.refused_in(case.goes_on(&v2(""), "ApplicationStart,ValidateService")?)?;
    assert_snapshot!(told, @r"
    ApplicationStart ends with 1
    why:   secret 'database' has changed since this deployment read it
    fix:   deploy again: that reads the newest version
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&v2(""))
}

#[test]
fn a_ca_that_is_not_the_databases() -> Result<()> {
    let case = Case::on(world()?, KIND, "check: the CA is not the database's")?;
    trust(&case.world, std::path::Path::new("/etc/ssl/certs/ca-certificates.crt"))?;
    assert_snapshot!(case.refused(&v2(DATABASE))?, @r"
    ApplicationStart ends with 1
    why:   check.database: TLS: db.internal:5432: invalid peer certificate: UnknownIssuer
    fix:   no CA in 'ca' has signed the certificate of db.internal: is the file the right one, and new enough? RDS:
           https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    trust(&case.world, &case.world.lab.dir().join("vpc/ca.pem"))?;
    case.mended_by(&v2(DATABASE))
}

#[test]
fn packets_to_the_database_that_are_dropped() -> Result<()> {
    let case =
        Case::on(world()?, KIND, "check: packets to the database are dropped, as by a security group")?;
    let rule = |change: &str| -> Result<()> {
        let address = DATA.to_string();
        let arguments =
            ["-w", change, "OUTPUT", "-d", &address, "-p", "tcp", "--dport", "5432", "-j", "DROP"];
        ensure!(case.world.web.command("iptables").args(arguments).status()?.success());
        Ok(())
    };
    rule("-I")?;
    assert_snapshot!(case.refused(&v2(DATABASE))?, @r"
    ApplicationStart ends with 1
    why:   check.database: connect: db.internal:5432 (10.66.0.4) did not answer within 2 s
    fix:   look at the way to db.internal:5432 (10.66.0.4): does its security group let this instance in on that port,
           are there a route and a network ACL for the subnet, is it up?
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    rule("-D")?;
    case.mended_by(&v2(DATABASE))
}

#[test]
fn a_name_that_nobody_knows() -> Result<()> {
    let case = Case::on(world()?, KIND, "check: nobody knows the cache's name")?;
    let cache = |host| {
        v2(&format!(
            "[check.cache]\nredis = {{ secret = \"redis\", host = \"{host}\", tls = true }}\ndeadline = \"1s\"\n"
        ))
    };
    assert_snapshot!(case.refused(&cache("nowhere.internal"))?, @r"
    ApplicationStart ends with 1
    why:   check.cache: DNS: there is no 'nowhere.internal'
    fix:   check the name (getent hosts nowhere.internal); a private zone has to be associated with this VPC, and the VPC
           needs enableDnsSupport
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&cache("cache.internal"))
}

/// A program that listens, and takes no connection: the kernel does, and nobody answers.
fn mute(world: &World) -> Result<Child> {
    let script =
        "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 7000)); s.listen(); time.sleep(600)";
    let program = world.web.command("python3").args(["-c", script]).spawn()?;
    wait_until("it listens", PATIENCE, || {
        let listens = ["-c", "ss -Hltn sport = :7000 | grep -q ."];
        Ok(world.web.command("sh").args(listens).status()?.success())
    })?;
    Ok(program)
}

#[test]
fn a_redis_that_accepts_and_never_answers() -> Result<()> {
    let case = Case::on(world()?, KIND, "check: Redis accepts connections and never answers")?;
    let mut program = mute(&case.world)?;
    let check = "[check.cache]\nredis = { secret = \"redis\", host = \"127.0.0.1\", port = 7000 }\n\
        timeout = \"1s\"\ndeadline = \"1s\"\n";
    let told = case.refused(&v2(check));
    case.world.web.signal(&program, 9)?;
    program.wait()?;
    assert_snapshot!(told?, @r"
    ApplicationStart ends with 1
    why:   check.cache: authentication: 127.0.0.1:7000 accepted the connection, and did not answer within 1 s
    fix:   127.0.0.1:7000 takes connections and says nothing: is it overloaded or hung, is it what is meant to listen
           there, and does it expect TLS?
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&v2(&check.replace("127.0.0.1\", port = 7000", "cache.internal\", tls = true")))
}
