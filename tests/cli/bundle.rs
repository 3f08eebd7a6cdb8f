//! A bundle with the real binary in it, and a way to run that.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const BINARY: &str = env!("CARGO_BIN_EXE_handover");
const NOBODY: u32 = 65534;

pub const CONFIG: &str = r#"app = "status-page"
[image]
repository = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page"
tag = "v1"
[process.web]
publish = ["8000:8000"]
order = "stop-first"
"#;

pub const APPSPEC: &str = "version: 0.0
os: linux
hooks:
  ApplicationStop:
    - location: bin/handover
  ApplicationStart:
    - location: bin/handover
      timeout: 600
";

/// A folder as `CodeDeploy` unpacks it.
pub struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    pub fn new() -> Self {
        // Its path has the same length whatever TMPDIR says: lines that name it are wrapped.
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let bundle = Self { dir };
        std::fs::create_dir(bundle.path("bin")).unwrap();
        for folder in [bundle.dir.path().to_owned(), bundle.path("bin")] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        // A link of its own: /proc/self/exe tells where the bundle is.
        let binary = bundle.path("bin/handover");
        if std::fs::hard_link(BINARY, &binary).is_err() {
            std::fs::copy(BINARY, &binary).unwrap();
        }
        bundle.write("handover.toml", CONFIG);
        bundle.write("appspec.yml", APPSPEC);
        bundle
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its own path.
    pub fn folder(&self) -> String {
        self.dir.path().display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    /// The bundle's binary as a hook, in this event.
    pub fn hook(&self, event: &str) -> Call {
        let call = Call::of(&self.path("bin/handover"), self.dir.path());
        call.env("LIFECYCLE_EVENT", event)
            .env("DEPLOYMENT_ID", "d-ABC123DEF")
            .env("DEPLOYMENT_GROUP_NAME", "test")
    }

    /// A shell, as a hook.
    pub fn through_a_shell(&self, script: &str, event: &str) -> Call {
        let call = Call::of(Path::new("/bin/sh"), self.dir.path()).args(&["-c", script]);
        call.env("LIFECYCLE_EVENT", event).env("DEPLOYMENT_ID", "d-ABC123DEF")
    }

    /// With a script in the place of the binary, which is linked dynamically in tests. The script starts what looks like one that
    /// is not.
    pub fn with_a_script() -> Self {
        let bundle = Self::new();
        bundle.remove("bin/handover");
        bundle.write("bin/handover", "#!/bin/sh\nexec \"$0-$(uname -m)\"\n");
        std::fs::write(bundle.path("bin/handover-x86_64"), static_binary()).unwrap();
        bundle.write("smoke.sh", "#!/bin/sh\n");
        for name in ["bin/handover", "bin/handover-x86_64", "smoke.sh"] {
            bundle.set_mode(name, 0o755);
        }
        bundle
    }

    pub fn set_mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// `handover lint` with these arguments, inside the bundle.
    pub fn lint(&self, arguments: &[&str]) -> Call {
        let call = Call::of(Path::new(BINARY), self.dir.path()).args(&["lint"]).args(arguments);
        call.within(self.dir.path())
    }

    /// The bundle's binary by hand.
    pub fn run(&self, arguments: &[&str]) -> Call {
        Call::of(&self.path("bin/handover"), self.dir.path()).args(arguments)
    }
}

/// The header of an x86-64 binary that needs no loader.
fn static_binary() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    bytes.resize(64, 0);
    (bytes[52], bytes[54], bytes[58]) = (64, 56, 64);
    bytes
}

/// A folder that the binary may write to.
pub fn everybodys_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// The binary outside a bundle.
pub fn handover(arguments: &[&str]) -> Call {
    Call::of(Path::new(BINARY), Path::new("/nowhere")).args(arguments)
}

/// One run to be made.
pub struct Call {
    command: Command,
    folder: PathBuf,
}

impl Call {
    fn of(binary: &Path, folder: &Path) -> Self {
        let mut command = Command::new(binary);
        command.env_clear().current_dir("/");
        command
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        if rustix::process::geteuid().is_root() {
            command.gid(NOBODY).uid(NOBODY);
        }
        Self { command, folder: folder.to_owned() }
    }

    fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without a variable.
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it; what it says is shown as one text, with the bundle's folder as BUNDLE.
    pub fn seen(mut self) -> Seen {
        let output = self.command.stdin(std::process::Stdio::null()).output().unwrap();
        let folder = self.folder.display().to_string();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").replace(&folder, "BUNDLE");
        let stderr = text(output.stderr);
        // Whether /var/log/handover can be written is the machine's business.
        let stderr = stderr
            .lines()
            .filter(|line| !line.starts_with("note:  failed to"))
            .fold(String::new(), |text, line| text + line + "\n");
        Seen { exit: output.status.code(), stdout: text(output.stdout), stderr }
    }
}

/// What was to be seen of a run.
pub struct Seen {
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit: {}", self.exit.map_or("a signal".to_owned(), |code| code.to_string()))?;
        for (stream, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n--- {stream}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}
