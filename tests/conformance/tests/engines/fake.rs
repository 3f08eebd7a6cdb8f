//! The fake Engine, in this process.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use fake_docker::{FakeDocker, Image, Mood, Race};
use lab::wait_until;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::host::Host;
use crate::stock;

/// A fake with everything in its registry, and nothing pulled.
pub(crate) struct Fake {
    // Before the runtime: it ends tasks.
    engine: FakeDocker,
    runtime: Runtime,
    race: Race,
    files: TempDir,
    _folder: TempDir,
}

impl Fake {
    /// `race` decides who is first at a boot.
    pub(crate) fn new(race: Race) -> Result<Self> {
        let (folder, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let engine = runtime.block_on(FakeDocker::start(folder.path()))?;
        for stock in stock::all() {
            engine.add_image(stock.fake());
        }
        Ok(Self { engine, runtime, race, files, _folder: folder })
    }
}

impl Host for Fake {
    fn socket(&self) -> Result<PathBuf> {
        Ok(self.engine.socket().to_owned())
    }

    fn digest(&self, tag: &str) -> String {
        Image::digest_of(tag)
    }

    fn folder(&self) -> (&Path, PathBuf) {
        (self.files.path(), self.files.path().to_owned())
    }

    fn cut(&mut self) -> Result<()> {
        let _inside = self.runtime.enter();
        self.engine.power_cut();
        Ok(())
    }

    fn boot(&mut self) -> Result<()> {
        let _inside = self.runtime.enter();
        Ok(self.engine.boot(&self.race)?)
    }

    fn restart_engine(&mut self) -> Result<()> {
        let _inside = self.runtime.enter();
        Ok(self.engine.restart_daemon(&self.race)?)
    }

    fn wait_for_stop(&self, container: &str, _since: SystemTime) -> Result<()> {
        wait_until("the stop has begun", Duration::from_secs(30), || {
            Ok(self.engine.container(container).is_some_and(|one| one.stopped_by_hand))
        })
    }

    fn registry_says(&mut self, what: Option<(u16, &str, &'static str)>) -> Result<()> {
        self.engine.registry_moods(what.map(|(_, _, words)| Mood::Says(words)));
        Ok(())
    }

    fn runs_out_of_memory(&mut self, container: &str) -> Result<()> {
        let _inside = self.runtime.enter();
        self.engine.runs_out_of_memory(container);
        Ok(())
    }

    fn complaints(&self) -> Vec<String> {
        self.engine.complaints()
    }
}
