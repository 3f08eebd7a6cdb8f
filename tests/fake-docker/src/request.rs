//! A call, taken apart.

use std::cell::RefCell;

use serde_json::Value;

use crate::{
    answer::{Reply, complain, refuse},
    query::Query,
};

/// What a handler gets to see of a call.
pub(crate) struct Request {
    pub(crate) query: RefCell<Query>,
    pub(crate) body: Vec<u8>,
    /// The header `X-Registry-Auth`.
    pub(crate) registry_auth: Option<String>,
    /// Whether the client asked to change the protocol.
    pub(crate) upgrade: bool,
}

impl Request {
    pub(crate) fn take(&self, name: &str) -> Option<String> {
        self.query.borrow_mut().take(name)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Reply> {
        self.query.borrow_mut().flag(name)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Reply> {
        self.query.borrow_mut().number(name)
    }

    pub(crate) fn only(&self, name: &str, allowed: &[&str]) -> Result<(), Reply> {
        self.query.borrow_mut().only(name, allowed)
    }

    /// Refuses every parameter that was not taken.
    pub(crate) fn no_more_parameters(&self) -> Result<(), Reply> {
        self.query.replace(Query::parse("")).finish()
    }

    /// Refuses a body where none belongs. `null` and `{}` are what clients send for "nothing".
    pub(crate) fn no_body(&self) -> Result<(), Reply> {
        match self.body.trim_ascii() {
            b"" | b"null" | b"{}" => Ok(()),
            _ => Err(complain(400, "a body where none belongs")),
        }
    }

    /// The body as JSON, with the Engine's status for what is none.
    pub(crate) fn json(&self) -> Result<Value, Reply> {
        if self.body.is_empty() {
            return Err(refuse(500, "EOF"));
        }
        serde_json::from_slice(&self.body).map_err(|error| refuse(500, format!("invalid JSON: {error}")))
    }
}
