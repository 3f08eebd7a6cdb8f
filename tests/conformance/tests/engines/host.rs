//! The two Engines that are compared, and what a test can do to their host.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;

/// An Engine and the instance that it is on.
pub(crate) trait Host {
    /// The Engine's socket, in this life of the instance.
    fn socket(&self) -> Result<PathBuf>;
    /// The digest of the image of this tag in the registry.
    fn digest(&self, tag: &str) -> String;
    /// A folder of this case's own, by its name on the instance, and the same as the test sees it.
    fn folder(&self) -> (&Path, PathBuf);
    /// The power fails.
    fn cut(&mut self) -> Result<()>;
    /// It is back, and so is the Engine.
    fn boot(&mut self) -> Result<()>;
    /// The Engine is asked to end, and started again.
    fn restart_engine(&mut self) -> Result<()>;
    /// Waits until the Engine has begun to stop this container, since then.
    fn wait_for_stop(&self, container: &str, since: SystemTime) -> Result<()>;
    /// The registry gives this instead of an answer to the next request of the Engine: a status, a code and words.
    /// Without it all is well again.
    fn registry_says(&mut self, what: Option<(u16, &str, &'static str)>) -> Result<()>;
    /// The container takes all the memory that it gets; one of the image `eater` does so by itself.
    fn runs_out_of_memory(&mut self, container: &str) -> Result<()>;
    /// The architecture that it is for. What is written down is of an Engine for `amd64`; one for `arm64` has the two the other
    /// way round.
    fn machine(&self) -> &'static str {
        "amd64"
    }
    /// Whether the Engine met something that it only pretends to know.
    fn complaints(&self) -> Vec<String> {
        Vec::new()
    }
}
