//! A container with somebody at it: what is typed goes in, what it prints comes out.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder,
};
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWrite;

use super::{CREATE, Docker, DockerError, INSPECT, Spec, short};
use crate::model::container::{Log, LogDriver};
use crate::terminal::Size;

/// Longer than anybody sits at a shell; a call has to have some limit.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// What a container printed. One with a terminal prints everything to that.
#[derive(Debug)]
pub enum Printed {
    /// To stdout.
    Out(Vec<u8>),
    /// To stderr.
    Err(Vec<u8>),
}

/// Both directions of a container.
pub struct Attached {
    /// What it prints, until it ends.
    pub output: Pin<Box<dyn Stream<Item = Printed> + Send>>,
    /// What it reads.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Docker {
    /// Creates a container for somebody to be at, not started. What it prints is kept nowhere.
    pub async fn create_attended(&self, spec: &Spec, terminal: bool) -> Result<String, DockerError> {
        let act = format!("create container '{}'", spec.name);
        self.check_network(spec.options.network.as_ref()).await?;
        let mut body = spec.to_docker(&Log {
            driver: LogDriver::Named("none".to_owned()),
            options: std::collections::BTreeMap::new(),
        });
        body.tty = Some(terminal);
        (body.open_stdin, body.stdin_once) = (Some(true), Some(true));
        (body.attach_stdin, body.attach_stdout, body.attach_stderr) = (Some(true), Some(true), Some(true));
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        Ok(self.call(act, CREATE, self.client.create_container(Some(options), body)).await?.id)
    }

    /// Takes both directions of a container. Before it starts: what it prints first would be lost.
    pub async fn attach(&self, id: &str) -> Result<Attached, DockerError> {
        let act = format!("attach to container '{}'", short(id));
        let options =
            AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attached = self.call(act, INSPECT, self.client.attach_container(id, Some(options))).await?;
        let output = attached.output.filter_map(async |chunk| match chunk.ok()? {
            LogOutput::StdErr { message } => Some(Printed::Err(message.into())),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                Some(Printed::Out(message.into()))
            }
            LogOutput::StdIn { .. } => None,
        });
        Ok(Attached { output: Box::pin(output), input: attached.input })
    }

    /// Tells a container how large its terminal is.
    pub async fn resize(&self, id: &str, size: Size) -> Result<(), DockerError> {
        let act = format!("resize the terminal of container '{}'", short(id));
        let (rows, columns) = (i32::from(size.rows), i32::from(size.columns));
        let options = ResizeContainerTTYOptionsBuilder::new().h(rows).w(columns).build();
        self.call(act, INSPECT, self.client.resize_container_tty(id, options)).await
    }

    /// Waits until a container does not run any more, and returns its exit code.
    pub async fn exit_code(&self, id: &str) -> Result<i64, DockerError> {
        let act = format!("wait for container '{}'", short(id));
        let wait = async {
            match self.client.wait_container(id, None).next().await {
                Some(Ok(answer)) => Ok(Some(answer.status_code)),
                // Another code than 0 is an error to the client, and an answer to us.
                Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
                Some(Err(error)) => Err(error),
                None => Ok(None),
            }
        };
        let code = self.call(&act, FOR_EVER, wait).await?;
        code.ok_or(DockerError::Incomplete { act, what: "the exit code" })
    }
}
