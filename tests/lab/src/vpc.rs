//! The VPC: a network that has no way out, and the services that everybody in it uses.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rustix::process::Signal;

use crate::names::{
    AWS, CACHE_HOST, CACHE_PASSWORD, DATA, DATABASE_HOST, ECR_HOST, OTHER_REGION_ECR_HOST,
    OTHER_REGISTRY_HOST, REGISTRY, REGISTRY_USER, ROUTER, mac,
};
use crate::spec::{Bind, INSIDE, Ready, Service, Spec};
use crate::{certs, cluster, tools};

/// The name of the service that is ECR's registry, as everybody in the VPC sees it.
pub(crate) const REGISTRY_SERVICE: &str = "registry";
/// The name of the service behind it, which has the images and checks the password.
pub(crate) const REGISTRY_BEHIND: &str = "registry-behind";
/// Where the front, and the lab itself, reach it.
pub(crate) const BEHIND_SOCKET: &str = "/run/registry-behind.sock";
/// Where the lab itself reaches the AWS APIs.
pub(crate) const AWS_SOCKET: &str = "/run/aws.sock";

/// `names::REGISTRY_PASSWORD` by bcrypt at the lowest cost: the registry checks it at each request.
const PASSWORD_HASH: &str = "$2y$04$abcdefghijklmnopqrstuu/cMn6kFoLFEf9ShbIPSVtJoiKQtizZG";

/// Writes what the services need, and says how they run.
pub(crate) fn plan(folder: &Path, tied: bool) -> Result<Spec> {
    fs::create_dir_all(folder.join("registry"))?;
    let database_user = tools::user("postgres")?;
    certs::make(folder, database_user)?;
    fs::write(folder.join("htpasswd"), format!("{REGISTRY_USER}:{PASSWORD_HASH}\n"))?;
    fs::write(folder.join("registry.yml"), registry_settings())?;
    for (name, program) in [
        ("aws_apis.py", include_str!("aws_apis.py")),
        ("registry_front.py", include_str!("registry_front.py")),
        ("faults.py", include_str!("faults.py")),
    ] {
        fs::write(folder.join(name), program)?;
    }
    // Without a MAC of its own the bridge has that of one of its ports, which come and go with the instances.
    let mut network =
        vec!["link set lo up".to_owned(), format!("link add br0 address {} type bridge", mac(ROUTER))];
    network.extend([ROUTER, REGISTRY, AWS, DATA].map(|address| format!("addr add {address}/24 dev br0")));
    network.push("link set br0 up".to_owned());
    Ok(Spec {
        hostname: "vpc".to_owned(),
        tied,
        overlays: vec![
            Bind::new("/etc", "/etc"),
            Bind::new("/var", "/var"),
            Bind::new(cluster::template()?, "/run/postgresql-data"),
        ],
        binds: vec![Bind::new(folder.join("bundle.pem"), certs::BUNDLE)],
        disks: Vec::new(),
        files: vec![
            ("/etc/hosts".into(), "127.0.0.1 localhost vpc\n".to_owned()),
            ("/etc/resolv.conf".into(), format!("nameserver {ROUTER}\n")),
        ],
        network,
        card: Vec::new(),
        services: services(database_user)?,
    })
}

fn services(database_user: (u32, u32)) -> Result<Vec<Service>> {
    Ok(vec![moto()?, registry_front(), postgresql(database_user)?, registry_behind(), redis(), resolver()])
}

fn resolver() -> Service {
    let mut command = vec![
        "dnsmasq".to_owned(),
        "--keep-in-foreground".to_owned(),
        "--conf-file=/dev/null".to_owned(),
        "--no-resolv".to_owned(),
        "--no-hosts".to_owned(),
        "--user=root".to_owned(),
        "--pid-file=".to_owned(),
        "--bind-interfaces".to_owned(),
        format!("--listen-address={ROUTER}"),
        format!("--address=/{ECR_HOST}/{REGISTRY}"),
        format!("--address=/{OTHER_REGION_ECR_HOST}/{REGISTRY}"),
        format!("--address=/{OTHER_REGISTRY_HOST}/{REGISTRY}"),
        format!("--address=/amazonaws.com/{AWS}"),
        // Whatever is not in the lab does not exist, at once.
        "--local=/#/".to_owned(),
    ];
    for host in [DATABASE_HOST, CACHE_HOST, "rds.amazonaws.com", "cache.amazonaws.com"] {
        command.push(format!("--address=/{host}/{DATA}"));
    }
    Service { command, ..Service::new("resolver", &[], Ready::Tcp((ROUTER, 53).into())) }
}

fn registry_behind() -> Service {
    let command = ["docker-registry", "serve", &format!("{INSIDE}/registry.yml")];
    let mut service = Service::new(REGISTRY_BEHIND, &command, Ready::Unix(BEHIND_SOCKET.into()));
    service.environment.insert("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned());
    service
}

fn registry_front() -> Service {
    let script = format!("{INSIDE}/registry_front.py");
    let command = ["python3", &script, &REGISTRY.to_string(), INSIDE, BEHIND_SOCKET];
    let mut service = Service::new(REGISTRY_SERVICE, &command, Ready::Tcp((REGISTRY, 443).into()));
    service.environment.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
    service
}

/// Without a cache: what is written into the storage is there at once.
fn registry_settings() -> String {
    format!(
        "version: 0.1\nlog: {{level: info}}\n\
         storage: {{filesystem: {{rootdirectory: {INSIDE}/registry}}, delete: {{enabled: true}}}}\n\
         http: {{net: unix, addr: {BEHIND_SOCKET}, secret: lab, relativeurls: true}}\n\
         auth: {{htpasswd: {{realm: \"https://{ECR_HOST}/\", path: {INSIDE}/htpasswd}}}}\n"
    )
}

fn moto() -> Result<Service> {
    let python = tools::python_with_moto()?.display().to_string();
    let script = format!("{INSIDE}/aws_apis.py");
    let command = [python.as_str(), &script, &AWS.to_string(), INSIDE, AWS_SOCKET];
    let mut service = Service::new("aws", &command, Ready::Tcp((AWS, 443).into()));
    // moto talks to nobody, but the library below it looks around before it notices.
    service.environment.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    service.environment.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
    Ok(service)
}

fn postgresql(user: (u32, u32)) -> Result<Service> {
    let program = tools::postgres_programs()?.join("postgres").display().to_string();
    let mut command = vec![program, "-D".to_owned(), "/run/postgresql-data".to_owned()];
    for setting in [
        format!("listen_addresses={DATA}"),
        "unix_socket_directories=".to_owned(),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={INSIDE}/server.pem"),
        format!("ssl_key_file={INSIDE}/database.key"),
        // Its life is as long as the lab's: nothing needs to survive.
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
    ] {
        command.extend(["-c".to_owned(), setting]);
    }
    let pid_file = "/run/postgresql-data/postmaster.pid".into();
    let mut service = Service::new("database", &[], Ready::File(pid_file, "ready".to_owned()));
    service.command = command;
    service.user = Some(user);
    // The fast way: clients are not waited for.
    service.stop_signal = Signal::INT.as_raw();
    service.environment.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
    Ok(service)
}

fn redis() -> Service {
    let address = DATA.to_string();
    let (certificate, key) = (format!("{INSIDE}/server.pem"), format!("{INSIDE}/server.key"));
    let authority = format!("{INSIDE}/ca.pem");
    #[rustfmt::skip]
    let command = [
        "redis-server", "--port", "0", "--tls-port", "6379", "--bind", &address, "--dir", "/run",
        "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &authority,
        "--tls-auth-clients", "no", "--requirepass", CACHE_PASSWORD, "--save", "", "--appendonly", "no",
    ];
    Service::new("cache", &command, Ready::Tcp((DATA, 6379).into()))
}
