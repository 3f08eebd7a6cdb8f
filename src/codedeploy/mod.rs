//! `CodeDeploy`, the caller: what a hook is told ([`invocation`]), which event does what ([`event`]), and what the bundle's
//! `appspec.yml` wires ([`appspec`]).

pub mod appspec;
pub mod event;
pub mod invocation;

pub use event::{Duty, LifecycleEvent};
pub use invocation::{Invocation, InvocationError};
