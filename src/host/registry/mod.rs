//! Registries: what their answers mean ([`trouble`]), what to do about them ([`advice`]), and how large an image is
//! ([`size`]). The pulling itself is the Engine's.

pub mod advice;
pub mod size;
pub mod trouble;

pub use trouble::Trouble;
