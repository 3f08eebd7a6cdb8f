//! A load client in the VPC: `app load`, while something else happens.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use crate::lab::Lab;
use crate::{application, inside};

/// A running load client. Dropped, it is ended, and what it saw is lost.
#[derive(Debug)]
pub struct Load {
    child: Child,
}

impl Lab {
    /// Starts the load client in the VPC. The options are those of `app load`.
    pub fn load(&self, url: &str, options: &[&str]) -> Result<Load> {
        Load::by(self.command(application::binary()?)?, url, options)
    }
}

impl Load {
    /// The same by a program that is the test application, wherever its command runs: on an instance, say.
    pub fn by(mut program: Command, url: &str, options: &[&str]) -> Result<Self> {
        program.args(["load", url]).args(options);
        let child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(Self { child })
    }

    /// Waits for the end of its time, and says what it saw.
    pub fn finish(mut self) -> Result<Value> {
        self.report()
    }

    /// Ends it now, and says what it saw.
    pub fn stop(mut self) -> Result<Value> {
        inside::signal(&self.child, Signal::TERM.as_raw())?;
        self.report()
    }

    fn report(&mut self) -> Result<Value> {
        let (mut report, mut error) = (Vec::new(), String::new());
        // Its report is one line and its errors are short: neither fills a pipe while the other is read.
        self.child.stdout.take().context("no output")?.read_to_end(&mut report)?;
        self.child.stderr.take().context("no output")?.read_to_string(&mut error)?;
        if !self.child.wait()?.success() {
            bail!("{}", error.trim());
        }
        Ok(serde_json::from_slice(&report)?)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = inside::signal(&self.child, Signal::KILL.as_raw());
            let _ = self.child.wait();
        }
    }
}
