//! The lab as a whole: its folder, its VPC, its instances, and its end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::aws::Aws;
use crate::certs::BUNDLE;
use crate::control::Ask;
use crate::engine::Engine;
use crate::hardware::Hardware;
use crate::http::{Request, Response, exchange};
use crate::instance::Instance;
use crate::kept::Kept as _;
use crate::names::{
    CACHE_HOST, CACHE_PASSWORD, DATABASE_HOST, DATABASE_NAME, DATABASE_PASSWORD, DATABASE_USER,
    FIRST_INSTANCE,
};
use crate::namespace::{self, Namespace};
use crate::registry::Registry;
use crate::{cgroup, tools, vpc};

/// The VPC's name among the sets of namespaces.
const VPC: &str = "vpc";
/// What shows that a folder is a lab's.
const MARK: &str = "lab.json";
/// How long a connection may take, and how long the answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A VPC with instances in it.
#[derive(Debug)]
pub struct Lab {
    inner: Arc<Inner>,
}

/// What the lab and its instances share. When the last of them is dropped, the lab goes down.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) folder: PathBuf,
    /// The lab ends with this process.
    pub(crate) tied: bool,
    namespaces: Mutex<BTreeMap<String, Arc<Mutex<Namespace>>>>,
    /// Whether all parts of the VPC are known to have answered.
    ready: Mutex<bool>,
    /// Takes the lab down when this process ends, however it ends.
    janitor: Mutex<Option<Child>>,
}

impl Lab {
    /// Raises a lab in a new folder (below `TMPDIR`). Its parts come up while the first instance boots or images are pushed;
    /// whatever needs them, and every boot, waits until all of them answer. The lab goes down when it and all handles on
    /// its instances are dropped, and when this process ends, also if it is killed. With `LAB_KEEP` set its folder
    /// stays, with the logs of all parts.
    pub fn up() -> Result<Self> {
        tools::check()?;
        let folder = tempfile::Builder::new().prefix("lab.").tempdir()?.keep();
        Self::raise(folder, true)
    }

    /// Raises a lab in this folder that outlives this process, until [`Lab::down_in`], and waits until all its parts
    /// answer.
    pub fn up_in(folder: &Path) -> Result<Self> {
        tools::check()?;
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        if fs::read_dir(&folder)?.next().is_some() {
            bail!("{} is not empty", folder.display());
        }
        // Nothing else would end the parts that came up.
        let raised = Self::raise(folder.clone(), false);
        raised.and_then(|lab| lab.inner.vpc().map(|_| lab)).inspect_err(|_| drop(take_down(&folder)))
    }

    /// Finds the lab that was raised in this folder.
    pub fn attach(folder: &Path) -> Result<Self> {
        tools::check()?;
        let folder = folder.canonicalize().with_context(|| format!("there is no {}", folder.display()))?;
        if !folder.join(MARK).exists() {
            bail!("{} is not a lab", folder.display());
        }
        let inner = Inner::new(folder, false, None);
        // Who raised it has waited; what is stopped since is to stay so.
        *inner.ready.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Ok(Self { inner: Arc::new(inner) })
    }

    fn raise(folder: PathBuf, tied: bool) -> Result<Self> {
        // PostgreSQL's user has to get through.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
        fs::write(folder.join(MARK), "{}\n")?;
        let janitor = if tied { Some(janitor(&folder)?) } else { None };
        let lab = Self { inner: Arc::new(Inner::new(folder, tied, janitor)) };
        let vpc_folder = lab.inner.vpc_folder();
        fs::create_dir_all(&vpc_folder)?;
        let plan = vpc::plan(&vpc_folder, tied)?;
        let namespace = lab.inner.namespace(VPC);
        let mut namespace = namespace.lock().unwrap_or_else(PoisonError::into_inner);
        *namespace = Namespace::start(&vpc_folder, &plan)?;
        drop(namespace);
        Ok(lab)
    }

    /// The lab's folder.
    pub fn dir(&self) -> &Path {
        &self.inner.folder
    }

    /// ECR's registry.
    pub fn registry(&self) -> Registry {
        Registry { inner: Arc::clone(&self.inner) }
    }

    /// The AWS APIs.
    pub fn aws(&self) -> Result<Aws> {
        let socket = self.inner.vpc()?.path(vpc::AWS_SOCKET)?;
        Ok(Aws { socket, folder: self.inner.vpc_folder() })
    }

    /// The instance of this name. A new one is made and booted; its address depends on how many there are already.
    pub fn instance(&self, name: &str) -> Result<Instance> {
        if self.inner.instance_folder(name).exists() {
            return Instance::open(&self.inner, name);
        }
        self.new_instance(name, &Hardware::default())
    }

    /// Makes an instance of this hardware and boots it. Its Docker Engine is the machine's, or the one in the folder that
    /// `LAB_ENGINE` names; with `LAB_IMAGE_STORE=containerd` that keeps its images in containerd.
    pub fn new_instance(&self, name: &str, hardware: &Hardware) -> Result<Instance> {
        let folder = self.inner.instance_folder(name);
        if folder.exists() {
            bail!("there is an instance {name} already");
        }
        let instance = Instance::open(&self.inner, name)?;
        hardware.write(&folder)?;
        Engine::of_the_environment()?.write(&folder)?;
        instance.boot()?;
        Ok(instance)
    }

    /// A command that will run in the VPC, outside all instances, with nothing but `PATH` in its environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        Ok(self.inner.vpc()?.command(program))
    }

    /// Fetches an `http` URL, of an address and a port, from inside the VPC. An answer of any status is an answer.
    pub fn http_get(&self, url: &str) -> Result<Response> {
        self.http("GET", url)
    }

    /// The same with a POST that has no body.
    pub fn http_post(&self, url: &str) -> Result<Response> {
        self.http("POST", url)
    }

    fn http(&self, method: &str, url: &str) -> Result<Response> {
        let rest = url.strip_prefix("http://").context("only http URLs")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address: SocketAddr = host.parse().with_context(|| format!("'{host}' is not ADDRESS:PORT"))?;
        self.in_its_network(|| {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)
                .with_context(|| format!("cannot connect to {address}"))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let path = format!("/{path}");
            exchange(stream, &Request { method, host, path: &path, headers: &[], body: &[] })
        })
    }

    /// Does something in the VPC's network, in a thread that moves there: tests ask again and again, and a process each time
    /// would take the time of what they wait for.
    pub fn in_its_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = File::open(format!("/proc/{}/ns/net", self.inner.vpc()?.pid()?.as_raw_nonzero()))?;
        let moved = || -> Result<T> {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        thread::scope(|scope| scope.spawn(moved).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs a statement in the database, as its user; the answer is psql's plain output.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let place = format!(
            "host={DATABASE_HOST} dbname={DATABASE_NAME} user={DATABASE_USER} sslmode=verify-full sslrootcert={BUNDLE}"
        );
        let mut command = self.command("psql")?;
        command.env("PGPASSWORD", DATABASE_PASSWORD).args([
            "-qAtX",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ]);
        output(command.arg(place))
    }

    /// Gives Redis a command; the answer is redis-cli's plain output.
    pub fn redis(&self, words: &[&str]) -> Result<String> {
        let mut command = self.command("redis-cli")?;
        command.env("REDISCLI_AUTH", CACHE_PASSWORD);
        output(command.args(["--no-auth-warning", "--tls", "--cacert", BUNDLE, "-h", CACHE_HOST]).args(words))
    }

    /// Ends one part of the VPC: `registry`, `aws`, `database`, `cache` or `resolver`.
    pub fn stop(&self, part: &str) -> Result<()> {
        self.inner.vpc()?.ask(&Ask::Stop(part.to_owned())).map(drop)
    }

    /// Starts a part of the VPC again, and waits until it answers.
    pub fn start(&self, part: &str) -> Result<()> {
        self.inner.vpc()?.ask(&Ask::Start(part.to_owned())).map(drop)
    }

    /// The control groups that containers of this lab have, or left behind.
    pub fn control_groups(folder: &Path) -> Vec<PathBuf> {
        cgroup::of_lab(folder)
    }

    /// Takes the lab down: when this returns, nothing of it is left.
    pub fn down(self) -> Result<()> {
        self.inner.end()?;
        take_down(&self.inner.folder)
    }

    /// Takes down the lab in this folder, whoever raised it.
    pub fn down_in(folder: &Path) -> Result<()> {
        let folder = folder.canonicalize().with_context(|| format!("there is no {}", folder.display()))?;
        if !folder.join(MARK).exists() {
            bail!("{} is not a lab", folder.display());
        }
        take_down(&folder)
    }
}

impl Inner {
    fn new(folder: PathBuf, tied: bool, janitor: Option<Child>) -> Self {
        let (namespaces, ready) = (Mutex::default(), Mutex::default());
        Self { folder, tied, namespaces, ready, janitor: Mutex::new(janitor) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mutex<Namespace>>>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The namespaces of this name, running or not.
    pub(crate) fn namespace(&self, name: &str) -> Arc<Mutex<Namespace>> {
        let folder = if name == VPC { self.vpc_folder() } else { self.instance_folder(name) };
        let mut namespaces = self.lock();
        let found = namespaces.entry(name.to_owned());
        Arc::clone(found.or_insert_with(|| Arc::new(Mutex::new(Namespace::attach(&folder)))))
    }

    /// The VPC's namespaces, for a look, when all of its parts have come up.
    pub(crate) fn vpc(&self) -> Result<Namespace> {
        let vpc = self.network()?;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !*ready {
            vpc.ask(&Ask::Wait)?;
            *ready = true;
        }
        Ok(vpc)
    }

    /// The same, when its network is there.
    pub(crate) fn network(&self) -> Result<Namespace> {
        let vpc = Namespace::attach(&self.vpc_folder());
        vpc.pid().context("the VPC is down")?;
        vpc.listens()?;
        Ok(vpc)
    }

    pub(crate) fn vpc_folder(&self) -> PathBuf {
        self.folder.join(VPC)
    }

    pub(crate) fn instance_folder(&self, name: &str) -> PathBuf {
        self.folder.join("instances").join(name)
    }

    /// The number of an instance: the last part of its address. Given once, in the order of asking.
    pub(crate) fn number_of(&self, name: &str) -> Result<u8> {
        let folder = self.instance_folder(name);
        let file = folder.join("number");
        let lock = File::create(self.folder.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        if let Ok(number) = fs::read_to_string(&file) {
            return Ok(number.trim().parse()?);
        }
        fs::create_dir_all(&folder)?;
        let others = fs::read_dir(self.folder.join("instances"))?.count() - 1;
        let number = FIRST_INSTANCE.checked_add(u8::try_from(others)?).context("too many instances")?;
        fs::write(file, number.to_string())?;
        Ok(number)
    }

    /// Lets the janitor work, and waits for it.
    fn end(&self) -> Result<()> {
        let janitor = self.janitor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut janitor) = janitor {
            drop(janitor.stdin.take());
            janitor.wait()?;
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.tied
            && let Err(error) = self.end()
        {
            eprintln!("the lab in {} did not go down: {error:#}", self.folder.display());
        }
    }
}

/// What a command says, without the last line's end.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let done = command.output()?;
    if !done.status.success() {
        bail!("{}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8(done.stdout)?.trim_end().to_owned())
}

/// Starts the process that takes the lab down as soon as this one is gone, or wants it.
fn janitor(folder: &Path) -> Result<Child> {
    Command::new(tools::lab_binary()?)
        .arg("janitor")
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Of its own: what interrupts or kills the tests must not hit it.
        .process_group(0)
        .spawn()
        .context("cannot start the lab's janitor")
}

/// Waits for the end of standard input, then takes the lab in this folder down.
pub fn run_janitor(folder: &Path) -> Result<()> {
    let mut nothing = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut nothing);
    take_down(folder)
}

/// Removes everything that a lab is made of. What is gone already is no error.
fn take_down(folder: &Path) -> Result<()> {
    let instances = fs::read_dir(folder.join("instances")).into_iter().flatten().flatten();
    let mut parts: Vec<_> = instances.map(|entry| entry.path()).collect();
    parts.push(folder.join(VPC));
    for part in &parts {
        namespace::kill_recorded(part)?;
    }
    cgroup::remove(folder)?;
    if std::env::var_os("LAB_KEEP").is_some() {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
