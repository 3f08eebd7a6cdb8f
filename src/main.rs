//! The binary: a runtime of one thread, because a hook waits more than it computes and the instance's memory is the
//! app's.

use std::process::ExitCode;

use handover::exit::ExitStatus;

fn main() -> ExitCode {
    // Secrets are in memory: no core dumps (promise P6).
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(status) = handover::cli::run_at_once(&arguments) {
        return status.into();
    }
    // Crash points of the tests, from the variables FAILPOINTS and HANDOVER_HOLD; compiled in with that feature only.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    #[cfg(feature = "failpoints")]
    handover::crash_point::hold();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            handover::printer::Printer::new(true).line(&format!("handover: failed to start: {error}"));
            return ExitStatus::Failed.into();
        }
    };
    let status = runtime.block_on(handover::cli::run(arguments));
    // A look-up that hangs in the background must not hold the hook open.
    runtime.shutdown_background();
    status
}
