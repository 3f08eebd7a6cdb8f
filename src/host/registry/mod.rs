//! Registries: what their answers mean ([`problem`]), what to do about them ([`advice`]), how large an image is
//! ([`size`]), and what a tag means where there is no Engine ([`meaning`]). The pulling itself is the Engine's.

pub mod advice;
mod client;
pub mod meaning;
pub mod problem;
pub mod size;

pub use problem::RegistryProblem;
