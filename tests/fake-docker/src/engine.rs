//! The fake as tests see it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use crate::{
    boot::Race,
    call::{Call, Fate, Hook, Log},
    http::Daemon,
    image::Image,
    reference::is_digest,
    registry::Mood,
    view::{ContainerView, Serving},
    world::{World, hex64},
};

/// A fake Docker Engine listening on a Unix socket. Dropped, it stops, and its containers with it.
///
/// Everything runs in tasks of the runtime it was started on; the methods that start or stop containers must be called
/// inside that runtime.
pub struct FakeDocker {
    socket: PathBuf,
    shared: Arc<Shared>,
    daemon: Mutex<Option<Daemon>>,
}

/// All that a power cut leaves of an Engine: [`FakeDocker::restored`] brings it back, as often as you like.
pub struct Kept(World);

/// What the server's tasks and the handle share.
pub(crate) struct Shared {
    world: Mutex<World>,
    log: Mutex<Log>,
    hook: Mutex<Option<Hook>>,
    crashed: watch::Sender<u64>,
    /// Even while a client lives; odd from its crash until the test says that the next one may come.
    generation: AtomicU64,
    pub(crate) changed: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether a connection accepted in this generation belongs to a client that lives.
    pub(crate) fn lives(&self, born: u64) -> bool {
        born.is_multiple_of(2) && born == self.generation()
    }

    pub(crate) fn crash(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.crashed.send_modify(|n| *n += 1);
    }

    /// Lets the next client come after a crash.
    fn revive(&self) {
        if !self.generation().is_multiple_of(2) {
            self.generation.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn log_call(&self, mut call: Call) -> Call {
        let mut log = lock(&self.log);
        call.n = log.calls.len();
        log.calls.push(call.clone());
        call
    }

    pub(crate) fn log_status(&self, n: usize, status: u16) {
        if let Some(call) = lock(&self.log).calls.get_mut(n) {
            call.status = Some(status);
        }
    }

    pub(crate) fn complain(&self, what: &str) {
        lock(&self.log).complaints.push(what.to_owned());
    }

    pub(crate) fn fate(&self, call: &Call) -> Fate {
        lock(&self.hook).as_ref().map_or(Fate::Proceed, |decide| decide(call))
    }

    /// The time that a stop left a container is over; `run` is the run that was to be stopped.
    pub(crate) fn is_killed(&self, id: &str, run: u64) {
        let mut world = self.world();
        let same = |c: &crate::container::Container| c.id == id && c.exits == run && c.listeners.is_some();
        if let Some(at) = world.containers.iter().position(same) {
            world.signalled(at, "KILL");
            world.end(at, 137);
        }
    }

    /// A container's process ended, unless the container was gone already.
    pub(crate) fn ends_by_itself(&self, id: &str, code: i64) {
        let mut world = self.world();
        if let Some(at) = world.containers.iter().position(|c| c.id == id && c.listeners.is_some()) {
            world.ends_by_itself(at, code);
        }
    }
}

impl FakeDocker {
    /// Starts listening on `docker.sock` in this folder, as an Engine without images and containers.
    #[allow(clippy::unused_async, reason = "it needs a runtime, and says so")]
    pub async fn start(folder: impl AsRef<Path>) -> io::Result<Self> {
        let fake = Self::of(folder.as_ref(), World::new);
        *lock(&fake.daemon) = Some(Daemon::listen(&fake.socket, &fake.shared)?);
        Ok(fake)
    }

    /// An Engine as it was kept, without power until [`Self::boot`].
    pub fn restored(folder: impl AsRef<Path>, kept: &Kept) -> Self {
        Self::of(folder.as_ref(), |shared| kept.0.copied(shared))
    }

    /// A copy of what the last power cut has left.
    pub fn keep(&self) -> Kept {
        assert!(lock(&self.daemon).is_none(), "keep follows power_cut");
        Kept(self.shared.world().copied(Weak::new()))
    }

    fn of(folder: &Path, world: impl FnOnce(Weak<Shared>) -> World) -> Self {
        let shared = Arc::new_cyclic(|weak| Shared {
            world: Mutex::new(world(weak.clone())),
            log: Mutex::default(),
            hook: Mutex::new(None),
            crashed: watch::Sender::new(0),
            generation: AtomicU64::new(0),
            changed: watch::Sender::new(0),
        });
        Self { socket: folder.join("docker.sock"), shared, daemon: Mutex::new(None) }
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Puts an image into the registry. A tag that another image had moves to this one.
    pub fn add_image(&self, image: Image) {
        assert!(is_digest(&image.digest), "{} is no digest", image.digest);
        let mut world = self.shared.world();
        if let Some(tag) = &image.tag {
            world.untag(&image.repository, tag);
        }
        world.registry.push(image);
    }

    /// Puts an image onto the instance under the name `repository:tag`, as a build or `docker load` does: no registry has
    /// it. The name moves away from another image that has it.
    pub fn load_image(&self, image: Image) {
        assert!(is_digest(&image.digest), "{} is no digest", image.digest);
        self.shared.world().load(image);
    }

    /// Moves a tag in the registry to a digest that is there.
    pub fn retag(&self, repository: &str, tag: &str, digest: &str) {
        self.shared.world().retag(repository, tag, digest);
    }

    /// Takes an image out of the registry, as a lifecycle policy does. What was pulled stays.
    pub fn forget_image(&self, repository: &str, digest: &str) {
        let gone = |image: &Image| image.repository == repository && image.digest == digest;
        self.shared.world().registry.retain(|image| !gone(image));
    }

    /// While set, the registry cannot be reached: 500 with this reason (`dial tcp …: connect: connection refused`).
    pub fn registry_down(&self, why: Option<&str>) {
        self.shared.world().registry_down = why.map(str::to_owned);
    }

    /// What the registry does with the next requests, one each, instead of answering them.
    pub fn registry_moods(&self, moods: impl IntoIterator<Item = Mood>) {
        self.shared.world().registry_moods.extend(moods);
    }

    /// The API versions that it understands. From 1.12 to 1.41 at the beginning.
    pub fn api_versions(&self, min: (u32, u32), max: (u32, u32)) {
        let mut world = self.shared.world();
        (world.min_version, world.max_version) = (min, max);
    }

    /// Whether published ports are really listened on, at 127.0.0.1. Counts from the next start of a container on.
    pub fn host_ports_are_real(&self, real: bool) {
        self.shared.world().real_host_ports = real;
    }

    /// Decides about every call from now on, also those of the [next client](Self::next_client). The hook may look at
    /// the fake, but not set another hook.
    pub fn on_call(&self, hook: Box<dyn Fn(&Call) -> Fate + Send>) {
        self.shared.revive();
        *lock(&self.shared.hook) = Some(hook);
    }

    /// Lets every call proceed again, also those of the [next client](Self::next_client).
    pub fn let_all_proceed(&self) {
        self.shared.revive();
        *lock(&self.shared.hook) = None;
    }

    /// After a crash: the dead client's future is dropped, what comes now is from another one.
    pub fn next_client(&self) {
        self.shared.revive();
    }

    /// Resolves at the next crash after this was called. Then drop the client's future: that is the SIGKILL.
    ///
    /// From the crash on, no call has any effect or answer, nor is it logged, until [`Self::next_client`], or
    /// [`Self::on_call`], [`Self::let_all_proceed`] or [`Self::boot`], which imply it.
    pub fn crashed(&self) -> impl Future<Output = ()> + use<> {
        let mut crashes = self.shared.crashed.subscribe();
        async move {
            while crashes.changed().await.is_err() {
                // The fake is gone: there will be no crash.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.log).calls.clone()
    }

    /// How many calls there were.
    pub fn calls_made(&self) -> usize {
        lock(&self.shared.log).calls.len()
    }

    /// Forgets the calls so far: the next one has number 0.
    pub fn forget_calls(&self) {
        lock(&self.shared.log).calls.clear();
    }

    /// What the fake refused although the Engine might have taken it, or did not know at all.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.shared.log).complaints.clone()
    }

    /// Fails the test when there is a complaint.
    pub fn assert_no_complaints(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "the fake does not know: {complaints:#?}");
    }

    /// The instance loses its power: the socket and every container are gone until [`Self::boot`].
    pub fn power_cut(&self) {
        *lock(&self.daemon) = None;
        self.shared.world().power_cut();
    }

    /// The instance boots after a power cut.
    pub fn boot(&self, race: &Race) -> io::Result<()> {
        assert!(lock(&self.daemon).is_none(), "boot follows power_cut");
        self.shared.revive();
        self.shared.world().boot(race);
        *lock(&self.daemon) = Some(Daemon::listen(&self.socket, &self.shared)?);
        Ok(())
    }

    /// The daemon is restarted with TERM: its containers are stopped, then started by their policies.
    pub fn restart_daemon(&self, race: &Race) -> io::Result<()> {
        *lock(&self.daemon) = None;
        let mut world = self.shared.world();
        world.shut_down();
        world.boot(race);
        drop(world);
        *lock(&self.daemon) = Some(Daemon::listen(&self.socket, &self.shared)?);
        Ok(())
    }

    /// A running container's process ends by itself with this code; its restart policy applies.
    pub fn dies(&self, name: &str, code: i64) {
        self.with_running(name, |world, at| world.ends_by_itself(at, code));
    }

    /// A running container is killed for want of memory; its restart policy applies. The Engine does not always notice
    /// what it was killed for: that is [`dies`](Self::dies) with 137.
    pub fn runs_out_of_memory(&self, name: &str) {
        self.with_running(name, |world, at| {
            world.ends_by_itself(at, 137);
            world.containers[at].oom_killed = true;
        });
    }

    /// Changes how a container behaves, its running process included. Listening on nothing counts from the next start.
    pub fn behave(&self, name: &str, behaviour: crate::Behaviour) {
        let mut world = self.shared.world();
        let found = world.containers.iter_mut().find(|c| c.name == name);
        let one = found.unwrap_or_else(|| panic!("no container {name}"));
        if let Some(listeners) = &one.listeners {
            listeners.behave(&behaviour);
        }
        one.behaviour = behaviour;
    }

    fn with_running(&self, name: &str, act: impl FnOnce(&mut World, usize)) {
        let mut world = self.shared.world();
        let found = world.containers.iter().position(|c| c.name == name && c.status.counts_as_running());
        act(&mut world, found.unwrap_or_else(|| panic!("no running container {name}")));
    }

    /// All containers, in the order of their creation.
    pub fn containers(&self) -> Vec<ContainerView> {
        self.shared.world().containers.iter().map(crate::container::Container::view).collect()
    }

    /// The container of this name.
    pub fn container(&self, name: &str) -> Option<ContainerView> {
        self.shared.world().containers.iter().find(|c| c.name == name).map(crate::container::Container::view)
    }

    /// The numbers of the last signals that a container got, by its id.
    pub fn signals(&self, id: &str) -> Vec<&'static str> {
        self.shared.world().signals_of(id)
    }

    /// Which running container owns which host port, by port.
    pub fn serving(&self) -> Vec<Serving> {
        let world = self.shared.world();
        let mut all: Vec<_> = world
            .containers
            .iter()
            .flat_map(|one| {
                one.published.iter().map(|port| Serving {
                    host_port: port.host_port,
                    container_port: port.port.clone(),
                    container: one.view(),
                })
            })
            .collect();
        all.sort_by_key(|one| one.host_port);
        all
    }

    /// Names of the images that have been pulled: `repository:tag` and `repository@digest`.
    pub fn images(&self) -> Vec<String> {
        let world = self.shared.world();
        world.local.iter().flat_map(|local| local.tags.iter().chain(&local.digests)).cloned().collect()
    }

    /// The names of the networks that somebody made.
    pub fn networks(&self) -> Vec<String> {
        self.shared.world().networks.iter().map(|network| network.name.clone()).collect()
    }

    /// The names of the volumes.
    pub fn volumes(&self) -> Vec<String> {
        self.shared.world().volumes.iter().map(|volume| volume.name.clone()).collect()
    }

    /// Somebody makes a volume.
    pub fn add_volume(&self, name: &str) {
        self.shared.world().volume(name, BTreeMap::new());
    }

    /// Somebody's clean-up takes a volume.
    pub fn lose_volume(&self, name: &str) {
        self.shared.world().volumes.retain(|volume| volume.name != name);
    }

    /// Somebody's clean-up takes a network.
    pub fn lose_network(&self, name: &str) {
        self.shared.world().networks.retain(|network| network.name != name);
    }

    /// No network can be made from now on, for this reason.
    pub fn refuse_networks(&self, why: Option<&str>) {
        self.shared.world().no_network = why.map(str::to_owned);
    }

    /// A hash of a container's whole inspect, to assert that it is exactly as it was. Only `State.Health`, which
    /// changes by itself, is left out. `None` when there is no such container.
    pub fn inspect_hash(&self, name: &str) -> Option<String> {
        let world = self.shared.world();
        let mut inspect = world.containers.iter().find(|c| c.name == name)?.inspect();
        if let Some(state) = inspect.get_mut("State").and_then(serde_json::Value::as_object_mut) {
            state.remove("Health");
        }
        Some(hex64(inspect.to_string()))
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        *lock(&self.daemon) = None;
        for one in &mut self.shared.world().containers {
            one.listeners = None;
        }
        // The socket's file goes with it; a folder that is gone already is no matter.
        let _ = std::fs::remove_file(&self.socket);
    }
}
