//! Both ends of a command that runs in a container: ours and the container's.

use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, copy, stderr, stdin, stdout};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::host::docker::{Attached, Docker, Printed, Spec};
use crate::model::Failure;
use crate::signal::Termination;
use crate::terminal::{self, Raw};

/// Starts it and stays until it ends. Whoever ends us, or closes the terminal, ends it, too.
pub(super) async fn attend(
    docker: &Docker,
    id: &str,
    spec: &Spec,
    terminal: bool,
    termination: &Termination,
) -> Result<i64, Failure> {
    let attached = docker.attach(id).await?;
    docker.start(id).await?;
    let listening = |kind| {
        signal(kind).map_err(|error| Failure::because(format!("failed to listen for signals: {error}")))
    };
    let (mut hang_up, resized) = (listening(SignalKind::hangup())?, listening(SignalKind::window_change())?);
    let raw = if terminal { Raw::enter().ok() } else { None };
    let end = async {
        tokio::select! {
            () = pass(attached) => {}
            () = resize(docker, id, resized), if terminal => {}
        }
        docker.exit_code(id).await
    };
    let code = tokio::select! {
        code = end => Some(code?),
        () = termination.requested() => None,
        _ = hang_up.recv() => None,
    };
    drop(raw);
    if let Some(code) = code {
        return Ok(code);
    }
    docker.stop(id, spec.stop_timeout).await?;
    Ok(docker.exit_code(id).await?)
}

/// Passes on what is typed and what is printed, until nothing more is printed.
async fn pass(attached: Attached) {
    let Attached { mut output, mut input } = attached;
    let typed = async {
        // At its end the container reads its end, too.
        let _ = copy(&mut stdin(), &mut input).await;
        let _ = input.shutdown().await;
        std::future::pending::<()>().await;
    };
    let printed = async {
        let (mut out, mut err) = (stdout(), stderr());
        while let Some(printed) = output.next().await {
            // A reader that went away is no reason to stop the command.
            let _ = match printed {
                Printed::Out(bytes) => write(&mut out, &bytes).await,
                Printed::Err(bytes) => write(&mut err, &bytes).await,
            };
        }
    };
    tokio::select! {
        () = typed => {}
        () = printed => {}
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// Keeps the container's terminal as large as ours.
async fn resize(docker: &Docker, id: &str, mut resized: Signal) {
    loop {
        if let Some(size) = terminal::size() {
            // It may have ended meanwhile.
            let _ = docker.resize(id, size).await;
        }
        if resized.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
