//! The agents' rules, each shown with small shell hooks. No root is needed and nothing is shared between tests.

mod bundle;
mod cli;
mod crash;
mod environment;
mod install;
mod output;
mod revisions;
mod support;
mod tail;
mod timeout;
