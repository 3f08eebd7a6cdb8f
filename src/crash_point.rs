//! Where the tests can make a process die, or a call fail.

/// A crash point by the name that the tests give it; nothing without the feature `failpoints`. With a closure, what that
/// makes of the point's text is returned.
macro_rules! crash_point {
    ($($arguments:tt)*) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($($arguments)*);
    };
}

/// Holds the process at a crash point for as long as a file is there: `HANDOVER_HOLD=POINT=FILE`. What a test does meanwhile has
/// happened by then, however busy the machine is; with a sleep it may come too late.
#[cfg(feature = "failpoints")]
#[allow(clippy::disallowed_methods, reason = "it is to stop the only thread")]
pub fn hold() {
    let Ok(text) = std::env::var("HANDOVER_HOLD") else { return };
    let (point, file) = text.split_once('=').expect("HANDOVER_HOLD: POINT=FILE");
    let file = std::path::PathBuf::from(file);
    let wait = move || {
        while file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    fail::cfg_callback(point, wait).expect("a crash point can be given a callback");
}
