//! `CodeDeploy`, the caller: how it calls a hook ([`invocation`]), what handover does in which event ([`event`]), and the
//! hooks in the bundle's `appspec.yml` ([`appspec`]).

pub mod appspec;
pub mod blocked;
pub mod event;
pub mod invocation;

pub use event::{Duty, LifecycleEvent};
pub use invocation::{Invocation, InvocationError};
