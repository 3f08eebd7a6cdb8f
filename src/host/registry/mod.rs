//! Registries: what their answers mean ([`problem`]), what to do about them ([`advice`]), and how large an image is
//! ([`size`]). The pulling itself is the Engine's.

pub mod advice;
pub mod problem;
pub mod size;

pub use problem::RegistryProblem;
