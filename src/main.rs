//! handover
fn main() {}
