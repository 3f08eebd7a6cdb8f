//! An EC2 instance: namespaces with a Docker Engine of their own, which can lose power and boot again.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};

use crate::control::{Answer, Ask};
use crate::docker::Docker;
use crate::engine::Engine;
use crate::hardware::Hardware;
use crate::imds::Metadata;
use crate::kept::Kept as _;
use crate::lab::Inner;
use crate::names::{METADATA, ROUTER, instance_address, mac};
use crate::namespace::Namespace;
use crate::spec::{Bind, INSIDE, Ready, Service, Spec};
use crate::{certs, cgroup, inside, tools};

/// The name of the service that is the Docker Engine.
const ENGINE: &str = "docker";

/// The name of the service that answers for metadata.
const METADATA_SERVICE: &str = "imds";
/// Where Docker keeps everything.
const DOCKER_DATA: &str = "/var/lib/docker";

/// Where a Nitro instance's firmware says its id.
const FIRMWARE: &str = "/sys/devices/virtual/dmi/id/board_asset_tag";

/// What persists through power cuts, and where it is in the instance. Tests see the same at [`Instance::path`].
pub(crate) const KEPT: [&str; 10] = [
    DOCKER_DATA,
    "/var/lib/handover",
    "/var/log/handover",
    "/etc/docker",
    "/etc/handover",
    "/etc/systemd/system",
    "/opt/codedeploy-agent",
    "/opt/handover",
    "/usr/local/bin",
    "/tmp",
];

/// An instance. Handles can be cloned; the instance goes down with its lab.
#[derive(Debug, Clone)]
pub struct Instance {
    pub(crate) name: String,
    number: u8,
    pub(crate) inner: Arc<Inner>,
    namespace: Arc<Mutex<Namespace>>,
}

impl Instance {
    /// A handle on the instance of this name; its folder is made if it is new.
    pub(crate) fn open(inner: &Arc<Inner>, name: &str) -> Result<Self> {
        let folder = inner.instance_folder(name);
        let number = inner.number_of(name)?;
        for kept in KEPT {
            fs::create_dir_all(outside(&folder, kept))?;
        }
        fs::set_permissions(outside(&folder, "/tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
        let metadata = folder.join("metadata.json");
        if !metadata.exists() {
            Metadata::new(&inner.folder, name, number, &instance_address(number).to_string())
                .write(&metadata)?;
        }
        let namespace = inner.namespace(name);
        Ok(Self { name: name.to_owned(), number, inner: Arc::clone(inner), namespace })
    }

    fn lock(&self) -> MutexGuard<'_, Namespace> {
        self.namespace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name, which is also its host name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address in the VPC.
    pub fn ip(&self) -> Ipv4Addr {
        instance_address(self.number)
    }

    /// Whether it has power.
    pub fn is_running(&self) -> bool {
        self.lock().is_running()
    }

    /// Its first process, as the machine numbers it.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.lock().pid()?.as_raw_nonzero().get().cast_unsigned())
    }

    /// A file or folder of the instance as the machine sees it. What persists is there also
    /// while the power is off.
    pub fn path(&self, inside: &str) -> PathBuf {
        let folder = self.inner.instance_folder(&self.name);
        let kept = KEPT.iter().any(|kept| Path::new(inside).starts_with(kept));
        let running = self.lock().path(inside).ok().filter(|_| !kept);
        running.unwrap_or_else(|| outside(&folder, inside))
    }

    /// A command that will run in the instance, in all its namespaces, with nothing but `PATH` in its environment.
    /// `Child::kill` would only kill the way in: see [`Instance::signal`].
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.lock().command(program)
    }

    /// The process that a child, spawned from [`Instance::command`], runs in the instance; as the machine numbers it.
    pub fn process_of(&self, child: &Child) -> Result<u32> {
        inside::process_of(child)
    }

    /// Sends a signal (its number) to the process that a child, spawned from [`Instance::command`], runs.
    pub fn signal(&self, child: &Child, signal: i32) -> Result<()> {
        inside::signal(child, signal)
    }

    /// The instance's Docker Engine, in this life of the instance.
    pub fn docker(&self) -> Result<Docker> {
        Ok(Docker { socket: self.lock().path("/run/docker.sock")? })
    }

    /// The power fails: everything in the instance is gone when this returns.
    pub fn cut(&self) -> Result<()> {
        self.lock().kill()
    }

    /// Switches the power on, and waits until the Docker Engine answers.
    pub fn boot(&self) -> Result<()> {
        self.boot_with(Start::AtBoot)
    }

    /// Switches the power on; the Docker Engine comes up when [`Instance::start_docker`] says so.
    pub fn boot_without_docker(&self) -> Result<()> {
        self.boot_with(Start::ByHand)
    }

    fn boot_with(&self, start: Start) -> Result<()> {
        let folder = self.inner.instance_folder(&self.name);
        let mut namespace = self.lock();
        if namespace.is_running() {
            return Ok(());
        }
        *namespace = Namespace::start(&folder, &self.plan(&folder, start)?)?;
        let look = namespace.look();
        drop(namespace);
        let pid = look.pid()?.as_raw_nonzero();
        let card = format!("v{}", self.number);
        let vpc = self.inner.network()?;
        // The network of the last life is taken down a moment after its death: its card may still be there.
        let _ = vpc.ip(&[format!("link del {card}")]);
        vpc.ip(&[
            format!("link add {card} type veth peer name eth0 netns {pid}"),
            format!("link set {card} master br0 up"),
        ])?;
        look.ask(&Ask::Wait)?;
        self.inner.vpc().map(drop)
    }

    fn ask(&self, what: &Ask) -> Result<Answer> {
        let look = self.lock().look();
        look.ask(what)
    }

    /// Asks the Docker Engine to end, and waits for it: containers are stopped unless it is told to let them live.
    pub fn stop_docker(&self) -> Result<()> {
        self.ask(&Ask::Stop(ENGINE.to_owned())).map(drop)
    }

    /// Kills the Docker Engine alone: its containers stay.
    pub fn kill_docker(&self) -> Result<()> {
        self.ask(&Ask::Kill(ENGINE.to_owned())).map(drop)
    }

    /// Starts the Docker Engine, and waits until it answers.
    pub fn start_docker(&self) -> Result<()> {
        self.ask(&Ask::Start(ENGINE.to_owned())).map(drop)
    }

    /// Stops and starts the Docker Engine.
    pub fn restart_docker(&self) -> Result<()> {
        self.stop_docker()?;
        self.start_docker()
    }

    /// Whether the Docker Engine's process runs.
    pub fn docker_runs(&self) -> Result<bool> {
        Ok(matches!(self.ask(&Ask::Runs(ENGINE.to_owned()))?, Answer::Runs(true)))
    }

    /// What the Docker Engine wrote, in all its lives.
    pub fn docker_log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.inner.instance_folder(&self.name).join(format!("{ENGINE}.log")))?)
    }

    /// Lets the disk of Docker's data have so many megabytes, as an EBS volume that is grown. It has to be a
    /// [small one](Hardware::docker_disk).
    pub fn resize_docker_disk(&self, megabytes: u32) -> Result<()> {
        let size = format!("remount,size={megabytes}m");
        self.done("mount", &["-o", &size, DOCKER_DATA])
    }

    /// Ends the metadata service: connections are refused.
    pub fn stop_metadata(&self) -> Result<()> {
        self.ask(&Ask::Stop(METADATA_SERVICE.to_owned())).map(drop)
    }

    /// Starts the metadata service, and waits until it answers.
    pub fn start_metadata(&self) -> Result<()> {
        self.ask(&Ask::Start(METADATA_SERVICE.to_owned())).map(drop)
    }

    /// Drops all packets to the metadata service, as a firewall on the instance does, or takes them up again.
    pub fn drop_metadata(&self, dropped: bool) -> Result<()> {
        let change = if dropped { "-I" } else { "-D" };
        self.done("iptables", &["-w", change, "OUTPUT", "-d", &METADATA.to_string(), "-j", "DROP"])
    }

    /// Runs a command in the instance, which must succeed.
    fn done(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let done = self.command(program).args(arguments).output()?;
        if !done.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(())
    }

    /// What the metadata service says.
    pub fn metadata(&self) -> Result<Metadata> {
        Metadata::read(&self.metadata_file())
    }

    /// Changes what the metadata service says, at once: no role, silence, another zone.
    pub fn set_metadata(&self, metadata: &Metadata) -> Result<()> {
        metadata.write(&self.metadata_file())
    }

    fn metadata_file(&self) -> PathBuf {
        self.inner.instance_folder(&self.name).join("metadata.json")
    }

    fn plan(&self, folder: &Path, start: Start) -> Result<Spec> {
        let (hardware, engine) = (Hardware::read(folder)?, Engine::read(folder)?);
        let mut binds: Vec<_> = KEPT.map(|kept| Bind::new(outside(folder, kept), kept)).into();
        binds.push(Bind::new(self.inner.vpc_folder().join("bundle.pem"), certs::BUNDLE));
        binds.extend(engine.bind());
        // An instance has its own /tmp: what is tested may have been built into the machine's.
        for built in tools::build_folders()? {
            if built.starts_with("/tmp") {
                binds.push(Bind::new(&built, &built));
            }
        }
        // What cloud-init writes, and the firmware says where this machine has one that does.
        let id = format!("{}\n", self.metadata()?.instance_id);
        if Path::new(FIRMWARE).exists() {
            let file = folder.join("instance-id");
            fs::write(&file, &id)?;
            binds.push(Bind::new(&file, FIRMWARE));
        }
        let (name, ip) = (&self.name, self.ip());
        Ok(Spec {
            hostname: name.clone(),
            tied: self.inner.tied,
            overlays: ["/etc", "/var", "/opt"].map(|tree| Bind::new(tree, tree)).into(),
            binds,
            disks: hardware
                .docker_disk
                .map(|megabytes| (DOCKER_DATA.into(), megabytes))
                .into_iter()
                .collect(),
            files: vec![
                ("/etc/hosts".into(), format!("127.0.0.1 localhost\n{ip} {name}\n")),
                ("/etc/hostname".into(), format!("{name}\n")),
                ("/etc/resolv.conf".into(), format!("nameserver {ROUTER}\n")),
                ("/var/lib/cloud/data/instance-id".into(), id),
            ],
            network: vec!["link set lo up".to_owned(), format!("addr add {METADATA}/32 dev lo")],
            card: vec![
                format!("link set eth0 address {} up", mac(ip)),
                format!("addr add {ip}/24 dev eth0"),
                format!("route add default via {ROUTER}"),
            ],
            services: vec![metadata_service(), self.engine(&engine, start)],
        })
    }

    fn engine(&self, engine: &Engine, start: Start) -> Service {
        // Of its own: what containers leave there after a cut must be found again.
        let parent = format!("/{}{}", cgroup::prefix(&self.inner.folder), self.name);
        let cgroups = ["dockerd", "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", &parent];
        let command = [&cgroups, engine.arguments()].concat();
        let ready = Ready::Engine("/run/docker.sock".into());
        let mut service =
            Service { by_hand: start == Start::ByHand, ..Service::new(ENGINE, &command, ready) };
        service.environment.insert("PATH".to_owned(), engine.path());
        service
    }
}

/// When the Docker Engine is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    AtBoot,
    ByHand,
}

fn metadata_service() -> Service {
    let command = ["/proc/self/exe", "imds", &format!("{INSIDE}/metadata.json")];
    Service::new(METADATA_SERVICE, &command, Ready::Tcp((METADATA, 80).into()))
}

/// Where a folder of the instance is kept.
fn outside(folder: &Path, inside: &str) -> PathBuf {
    folder.join("root").join(inside.trim_start_matches('/'))
}
