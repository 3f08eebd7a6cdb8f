//! Tests of the lab itself. Each raises a lab of its own; all need root.

mod application;
mod aws;
mod front;
mod hardware;
mod instance;
mod lifecycle;
mod metadata;
mod processes;
mod registry;
mod servers;
mod support;
mod systemd;
