//! A world that begins where it began, as often as it takes.

use std::path::Path;
use std::process::Command;

use fake_docker::{FakeDocker, Kept, Race};
use tempfile::TempDir;

use crate::aws::FakeAws;
use crate::heard::Heard;
use crate::world::{SECRET, World};

/// A world as it was, to come back to: a deployment is what takes the time of a test that needs hundreds of them.
pub struct Origin {
    world: World,
    engine: Kept,
    files: TempDir,
}

impl Origin {
    /// Keeps a world as a power cut leaves it.
    pub fn of(world: World) -> Self {
        world.engine.power_cut();
        let files = tempfile::tempdir_in(world.dir.path().parent().unwrap()).unwrap();
        copy(world.dir.path(), files.path());
        Self { engine: world.engine.keep(), files, world }
    }

    /// The world as it was, after a boot. What became of it since then is gone.
    pub fn world(&mut self) -> &World {
        let Self { world, engine, files } = self;
        let folder = world.dir.path();
        world.engine.power_cut();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        copy(files.path(), folder);
        world.engine = std::sync::Arc::new(FakeDocker::restored(folder, engine));
        world.engine.boot(&Race::OldestFirst).unwrap();
        (world.aws, world.heard) = (FakeAws::new(SECRET), Heard::new());
        world.tables = std::sync::Arc::default();
        world
    }
}

/// With permissions and times; the Engine's socket is made again.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_file(from.join("docker.sock"));
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}
