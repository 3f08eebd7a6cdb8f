//! Whether a container is healthy: the rule ([`gate`]), what is seen of a container at one look ([`look`]), and the judge
//! who watches with the one until the other has a verdict ([`judge`]). Every question about health goes through the judge.

pub mod bake;
mod body;
pub mod gate;
pub mod judge;
pub mod look;
mod reach;
pub mod sight;
