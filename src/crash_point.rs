//! Where the tests can make a process die, or a call fail.

/// A crash point by the name that the tests give it; nothing without the feature `failpoints`. With a closure, what that
/// makes of the point's text is returned.
macro_rules! crash_point {
    ($($arguments:tt)*) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($($arguments)*);
    };
}
