//! What the tests on instances share: a lab with one instance, `CodeDeploy`'s agent and handover on it, and bundles for it.

pub mod canary;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use codedeploy::DeploymentReport;
use lab::{Hardware, ImageSpec, Instance, Lab, names, wait_until};
use serde_json::Value;

/// The longest that anything here waits for something that has to happen.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A lab with one instance.
#[derive(Debug)]
pub struct World {
    /// The instance.
    pub web: Instance,
    /// The lab around it.
    pub lab: Lab,
    /// The handover that is on it, and in its bundles.
    handover: PathBuf,
}

/// What the words of a Docker Engine depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    /// The first number of its version.
    pub major: u32,
    /// Whether its images are in containerd: what it says of a pull, and where they are.
    pub in_containerd: bool,
}

impl Engine {
    /// Whether it is another one than that of `docs/faults.md`, whose words are Docker 20.10's.
    pub fn has_words_of_its_own(self) -> bool {
        self.major > 20 || self.in_containerd
    }
}

/// What a bundle asks for, apart from what `bundle/` says: an app of one process.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The image's tag.
    pub tag: &'static str,
    /// Words of `handover.toml` and `appspec.yml` and what stands for them.
    pub edits: Vec<(String, String)>,
    /// Further files, by their paths in the bundle.
    pub files: Vec<(String, String)>,
}

impl Bundle {
    /// What `bundle/` says, with the image of this tag.
    pub fn of(tag: &'static str) -> Self {
        Self { tag, edits: vec![], files: vec![] }
    }

    /// The same with other words in one place.
    #[must_use]
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    /// The same, start-first: with a short bake and drain.
    #[must_use]
    pub fn start_first(self) -> Self {
        self.edit("order        = \"stop-first\"", "order        = \"start-first\"\ndrain = \"10s\"")
            .edit("[secret.redis]", "[bake]\nduration = \"1s\"\n\n[secret.redis]")
    }

    /// The same with one more file.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }
}

impl World {
    /// The instance up, with the programs on it and nothing deployed.
    pub fn up() -> Result<Self> {
        Self::up_on(&Hardware::default())
    }

    /// The same, on an instance of this hardware.
    pub fn up_on(hardware: &Hardware) -> Result<Self> {
        Self::up_with(product()?, hardware)
    }

    fn up_with(handover: PathBuf, hardware: &Hardware) -> Result<Self> {
        let lab = Lab::up()?;
        let web = lab.new_instance("web-1", hardware)?;
        let world = Self { web, lab, handover };
        world.equip()?;
        for (tag, variant) in
            [("v1", "good"), ("v2", "good"), ("v3", "good"), ("crash", "crash"), ("silent", "never-listens")]
        {
            world.push(tag, variant)?;
        }
        Ok(world)
    }

    /// Another instance of the same lab, with the programs on it.
    pub fn another(&self, name: &str) -> Result<Self> {
        let web = self.lab.new_instance(name, &Hardware::default())?;
        let other = Self { web, lab: Lab::attach(self.lab.dir())?, handover: self.handover.clone() };
        other.equip()?;
        Ok(other)
    }

    /// Puts the programs onto the instance.
    fn equip(&self) -> Result<()> {
        copy(&beside("codedeploy")?, &self.web.path("/usr/local/bin/codedeploy"))?;
        let handover = "/opt/codedeploy-agent/handover";
        copy(&self.handover, &self.web.path(handover))?;
        let installed = self.web.command(handover).arg("install").output()?;
        ensure!(installed.status.success(), "{}", text(&installed.stderr));
        Ok(())
    }

    /// With release v1 deployed and serving.
    pub fn with_v1() -> Result<Self> {
        Self::up()?.deployed()
    }

    /// The same, with the handover that hears `FAILPOINTS`: what ships does not.
    pub fn with_v1_and_failpoints() -> Result<Self> {
        Self::up_with_failpoints()?.deployed()
    }

    /// The instance up, with a handover that can be made to stop anywhere.
    pub fn up_with_failpoints() -> Result<Self> {
        Self::up_with(with_failpoints()?, &Hardware::default())
    }

    fn deployed(self) -> Result<Self> {
        let report = self.deploy("d-000000001", &Bundle::of("v1"))?;
        ensure!(report.succeeded(), "{report:?}");
        Ok(self)
    }

    /// Builds and pushes an image of the test application, and says its digest.
    pub fn push(&self, tag: &str, variant: &str) -> Result<String> {
        let image = ImageSpec::new(tag).variant(variant);
        self.lab.registry().push_image(names::REPOSITORY, tag, &image)
    }

    /// Writes a bundle onto the instance and returns its path there: `bundle/` of this crate, with a short gate.
    pub fn bundle(&self, bundle: &Bundle) -> Result<String> {
        let inside = format!("/opt/codedeploy-agent/bundles/{}", bundle.tag);
        let folder = self.web.path(&inside);
        fs::create_dir_all(folder.join("bin"))?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundle");
        let quick = [
            ("\"latest\"".to_owned(), format!("{:?}", bundle.tag)),
            ("\"500ms\"".to_owned(), "\"50ms\"".to_owned()),
            ("min-healthy = \"2s\"".to_owned(), "min-healthy = \"200ms\"".to_owned()),
        ];
        let mut edits: Vec<_> = quick.iter().chain(&bundle.edits).map(|edit| (edit, false)).collect();
        for file in ["appspec.yml", "handover.toml"] {
            let mut text = fs::read_to_string(source.join(file))?;
            for ((from, to), used) in &mut edits {
                *used |= text.contains(from.as_str());
                text = text.replace(from.as_str(), to);
            }
            fs::write(folder.join(file), text)?;
        }
        for (path, text) in &bundle.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().context("a file without a folder")?)?;
            fs::write(path, text)?;
        }
        for ((from, _), used) in edits {
            ensure!(used, "there is no '{from}' in the bundle");
        }
        copy(&self.handover, &folder.join("bin/handover"))?;
        Ok(inside)
    }

    /// A whole deployment by agent v1.
    pub fn deploy(&self, id: &str, bundle: &Bundle) -> Result<DeploymentReport> {
        self.deploy_folder(id, &self.bundle(bundle)?)
    }

    /// The same of a bundle that is on the instance.
    pub fn deploy_folder(&self, id: &str, bundle: &str) -> Result<DeploymentReport> {
        let output =
            self.agent("v1", &[]).args(["deploy", "--bundle", bundle, "--deployment-id", id]).output()?;
        report(&output)
    }

    /// The agent on the instance, up to its command.
    pub fn agent(&self, version: &str, options: &[&str]) -> Command {
        let mut command = agent_by(self.web.command("codedeploy"), version);
        command.args(options);
        command
    }

    /// Runs a script on the instance, and says what it printed.
    pub fn by_hand(&self, script: &str) -> Result<String> {
        let output = self.web.command("sh").args(["-ec", script]).output()?;
        ensure!(output.status.success(), "{script}: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    }

    /// Starts another program that listens on a port of the instance, and waits until it does.
    pub fn occupy_port(&self, port: u16) -> Result<Child> {
        copy(&lab::application::binary()?, &self.web.path("/usr/local/bin/another-program"))?;
        let mut command = self.web.command("another-program");
        command.env("PORT", port.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let program = command.spawn()?;
        let url = format!("http://{}:{port}/ping", self.web.ip());
        wait_until("the other program listens", PATIENCE, || Ok(self.lab.http_get(&url).is_ok()))?;
        Ok(program)
    }

    /// The instance's Docker Engine.
    pub fn engine(&self) -> Result<Engine> {
        let docker = self.web.docker()?;
        let version = docker.get("/version")?["Version"].as_str().unwrap_or_default().to_owned();
        let major = version.split('.').next().and_then(|major| major.parse().ok()).context(version)?;
        Ok(Engine { major, in_containerd: docker.get("/info")?["Driver"] == "overlayfs" })
    }

    /// handover by hand.
    pub fn handover(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.web.command("handover").args(arguments).stdin(Stdio::null()).output()?)
    }

    /// What `handover status` says to machines.
    pub fn status(&self) -> Result<Value> {
        let output = self.handover(&["status", "--json"])?;
        ensure!(output.status.success(), "{}", text(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// What the application answers to a client outside the instance.
    pub fn answer(&self) -> Result<Value> {
        let response = self.lab.http_get(&format!("http://{}:8000/", self.web.ip()))?;
        ensure!(response.status == 200, "{}: {}", response.status, response.text());
        response.json()
    }

    /// The release that answers, which is the tag it was built for.
    pub fn release(&self) -> Result<String> {
        Ok(self.answer()?["release"].as_str().context("no release in the answer")?.to_owned())
    }

    /// The same, once something answers.
    pub fn release_that_comes_up(&self) -> Result<String> {
        wait_until("the application answers", PATIENCE, || Ok(self.release().is_ok()))?;
        self.release()
    }

    /// The journal of the run in progress, or of the last one.
    pub fn journal(&self) -> String {
        self.journal_file().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default()
    }

    /// The file that it is in: that of the highest release which has one.
    pub fn journal_file(&self) -> Option<PathBuf> {
        let releases = fs::read_dir(self.web.path("/var/lib/handover/status-page/releases")).ok()?;
        let number = |folder: fs::DirEntry| folder.file_name().to_str()?.parse::<u64>().ok();
        let mut numbers: Vec<u64> = releases.filter_map(|folder| number(folder.ok()?)).collect();
        numbers.sort_unstable();
        let file = |number: &u64| {
            self.web.path(&format!("/var/lib/handover/status-page/releases/{number}/journal.jsonl"))
        };
        numbers.iter().rev().map(file).find(|file| file.is_file())
    }

    /// Waits until a deployment has stopped live and looks at its new container.
    pub fn wait_for_gate(&self, deployment: &str) -> Result<()> {
        wait_until("the new container is on trial", PATIENCE, || {
            let journal = self.journal();
            Ok(journal.contains(deployment) && journal.contains("\"began\",\"step\":\"gate web\""))
        })
    }

    /// All rules and chains of the instance that somebody made: looking at a table may make an empty one.
    pub fn rules(&self) -> Result<Vec<String>> {
        rules_by(self.web.command("sh"))
    }

    /// A signal to the process of handover that the lock's file names, and to nothing else.
    pub fn signal_handover(&self, signal: &str) -> Result<()> {
        let output = self.web.command("sh").args(["-c", &signal_script(signal)]).output()?;
        ensure!(output.status.success(), "{}", text(&output.stderr));
        Ok(())
    }

    /// SIGKILL of that process, and waits until it is gone.
    pub fn kill_handover(&self) -> Result<()> {
        self.signal_handover("KILL")?;
        wait_until("it is gone", PATIENCE, || Ok(self.status()?[0]["run"]["state"] == "interrupted"))
    }

    /// There is no rule of ours, and none that hands packets to anybody.
    pub fn assert_no_rules(&self) -> Result<()> {
        assert_none_is_ours(&self.rules()?)
    }

    /// Our containers: name to (running, restart policy).
    pub fn containers(&self) -> Result<BTreeMap<String, (bool, String)>> {
        let docker = self.web.docker()?;
        let mut containers = BTreeMap::new();
        for container in docker.containers()? {
            let id = container["Id"].as_str().context("a container without an id")?;
            let Some(inspect) = docker.inspect(id)? else { continue };
            let name = inspect["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
            let policy =
                inspect["HostConfig"]["RestartPolicy"]["Name"].as_str().unwrap_or_default().to_owned();
            containers.insert(name, (inspect["State"]["Running"] == true, policy));
        }
        Ok(containers)
    }

    /// Steady state: what is live runs, comes back at a boot and answers as this release; all others are parked, and none is a candidate.
    pub fn assert_settled(&self, release: &str) -> Result<()> {
        ensure!(self.release_that_comes_up()? == release, "{} answers, not {release}", self.release()?);
        let containers = self.containers()?;
        ensure!(containers.contains_key("status-page-web"), "nothing is live: {containers:?}");
        for (name, state) in &containers {
            ensure!(name.starts_with("status-page-") && !name.ends_with(".bridge"), "{name}");
            let is_parked = name.contains(".r");
            let right = if is_parked { (false, "no") } else { (true, "unless-stopped") };
            ensure!((state.0, state.1.as_str()) == right, "{name}: {state:?}");
        }
        Ok(())
    }
}

/// The agent of this version, up to its command, by the program that a command runs.
pub fn agent_by(mut codedeploy: Command, version: &str) -> Command {
    codedeploy.args(["--agent", version, "--json"]).stdin(Stdio::null());
    // A planted bug that is awake here is awake in handover there, see scripts/mutants.
    if let Ok(bug) = std::env::var("MUTANT") {
        codedeploy.args(["--agent-env", &format!("MUTANT={bug}")]);
    }
    codedeploy
}

/// The rules and chains that somebody made, as this shell's iptables sees them: there are two kinds of it, and neither sees the
/// other's.
pub fn rules_by(mut shell: Command) -> Result<Vec<String>> {
    let output = shell.args(["-c", "iptables-save; ip6tables-save 2>/dev/null"]).output()?;
    let text = text(&output.stdout);
    let is_made = |line: &&str| line.starts_with("-A ") || line.starts_with(':') && line.contains(" - ");
    let lines = text.lines().filter(is_made);
    Ok(lines.map(|line| line.split(" [").next().unwrap_or_default().to_owned()).collect())
}

/// Of these rules none is ours, and none hands packets to anybody.
pub fn assert_none_is_ours(rules: &[String]) -> Result<()> {
    let is_ours = |rule: &String| rule.contains("HANDOVER") || rule.contains("NFQUEUE");
    ensure!(!rules.iter().any(is_ours), "{rules:#?}");
    Ok(())
}

/// The releases that answered a load client, each once.
pub fn releases(seen: &Value) -> Vec<&str> {
    let releases = seen["releases"].as_array();
    let mut names: Vec<&str> =
        releases.into_iter().flatten().filter_map(|one| one["release"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What the shell of an instance does to send a signal to the process of handover that the lock's file names.
pub fn signal_script(signal: &str) -> String {
    format!(r#"kill -{signal} "$(sed 's/.*"pid":\([0-9]*\).*/\1/' /run/handover/status-page.lock)""#)
}

/// The agent's report of a deployment.
pub fn report(output: &Output) -> Result<DeploymentReport> {
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {} {}", text(&output.stdout), text(&output.stderr)))
}

/// Bytes as people read them.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The handover that ships, where `HANDOVER_STATIC` says that there is one: a third of the size of the other, and quick. Else what
/// cargo has built for the tests.
fn product() -> Result<PathBuf> {
    std::env::var_os("HANDOVER_STATIC").map_or_else(|| beside("handover"), |path| Ok(path.into()))
}

/// The one that can be made to stop anywhere; the one with bugs planted in it, where `scripts/mutants` has made that.
fn with_failpoints() -> Result<PathBuf> {
    std::env::var_os("HANDOVER_PLANTED")
        .map_or_else(|| beside("handover"), |path| lab::stripped(Path::new(&path)))
}

/// A binary of this workspace, in the folder above the running test's; without what debuggers read in it.
fn beside(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let path = test.ancestors().nth(2).context("the test is in no target folder")?.join(name);
    if !path.is_file() {
        bail!("{} is missing: run 'cargo build --workspace --bins'", path.display());
    }
    lab::stripped(&path)
}

/// Copies a program.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
