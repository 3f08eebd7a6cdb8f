//! The tables that a container is made of. A process, and whatever else runs in one, take the same keys and a few of their own.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{Environment, Field, Health, Rendered};
use crate::model::{Bytes, ImageName, ProcessName, Publish, TimeSpan};

/// One table. By a macro, because serde's `flatten` loses the places of what is written.
macro_rules! table {
    ({ $($key:ident: $kind:ty,)* } $(#[$doc:meta])* $name:ident { $($own:ident: $own_kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub(in crate::config) struct $name {
            $(pub(in crate::config) $key: $kind,)*
            $(pub(in crate::config) $own: $own_kind,)*
        }

        impl $name {
            /// Takes out what it has in common with the others.
            pub(in crate::config) fn take_container(&mut self) -> Container {
                Container { $($key: std::mem::take(&mut self.$key),)* }
            }
        }
    };
}

/// All of them, and what they have in common.
macro_rules! tables {
    (common { $($key:ident: $kind:ty,)* } $($(#[$doc:meta])* $name:ident $own:tt)*) => {
        /// What a container is made of, as written.
        #[derive(Debug)]
        pub(in crate::config) struct Container {
            $(pub(in crate::config) $key: $kind,)*
        }

        tables! { @each { $($key: $kind,)* } $($(#[$doc])* $name $own)* }
    };
    (@each $common:tt $($(#[$doc:meta])* $name:ident $own:tt)*) => {
        $(table! { $common $(#[$doc])* $name $own })*
    };
}

tables! {
    common {
        command: Option<Spanned<Vec<String>>>,
        image: Option<Spanned<ImageName>>,
        environment: Environment,
        file: BTreeMap<Spanned<String>, Rendered>,
        after: Vec<Spanned<ProcessName>>,
        stop_timeout: Option<Spanned<TimeSpan>>,
        memory: Option<Spanned<Bytes>>,
        stop_signal: Option<Spanned<Field>>,
        log: Option<WrittenLog>,
        cpus: Option<Spanned<WrittenCpus>>,
        user: Option<Spanned<Field>>,
        read_only: bool,
        tmpfs: Vec<Spanned<String>>,
        volumes: Vec<Spanned<String>>,
        anonymous_volumes: Vec<Spanned<String>>,
        extra_hosts: Vec<Spanned<String>>,
        network: Option<Spanned<String>>,
        capabilities: Option<WrittenCapabilities>,
        ulimits: BTreeMap<Spanned<String>, Spanned<WrittenUlimit>>,
        shm_size: Option<Bytes>,
        init: bool,
        no_new_privileges: bool,
        labels: BTreeMap<Spanned<String>, Field>,
        hostname: Option<Spanned<String>>,
        entrypoint: Option<Spanned<Vec<String>>>,
        working_dir: Option<Spanned<String>>,
        devices: Vec<Spanned<String>>,
        dns: Vec<Spanned<String>>,
        pids_limit: Option<Spanned<i64>>,
        security_opt: Vec<Spanned<String>>,
        gpus: Option<Spanned<Field>>,
    }

    /// `[process.NAME]`.
    Process {
        publish: Vec<Spanned<Publish>>,
        order: Option<Spanned<String>>,
        traffic: Option<Spanned<String>>,
        drain: Option<Spanned<TimeSpan>>,
        stall: Option<Spanned<TimeSpan>>,
        singleton: bool,
        replaces: Option<Spanned<String>>,
        health: Option<Spanned<Health>>,
    }

    /// `[task.NAME]`.
    Task {
        unless: Option<Spanned<Vec<String>>>,
        exclusive: Option<Spanned<String>>,
        schema: bool,
        timeout: Option<Spanned<TimeSpan>>,
    }

    /// `[service.NAME]`.
    Service {
        health: Option<Spanned<Health>>,
    }
}

/// `log` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct WrittenLog {
    #[serde(default)]
    pub(in crate::config) driver: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::config) max_size: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::config) max_file: Option<Spanned<u16>>,
    #[serde(default)]
    pub(in crate::config) options: BTreeMap<Spanned<String>, String>,
}

/// `cpus` as written.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "write a number of processors, such as 0.5 or 2")]
pub(in crate::config) enum WrittenCpus {
    Whole(u16),
    Decimal(f64),
}

/// `capabilities` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct WrittenCapabilities {
    #[serde(default)]
    pub(in crate::config) add: Vec<Spanned<String>>,
    #[serde(default)]
    pub(in crate::config) drop: Vec<Spanned<String>>,
}

/// A value of `ulimits` as written.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "write a number, or { soft = NUMBER, hard = NUMBER }")]
pub(in crate::config) enum WrittenUlimit {
    Both(i64),
    Each(SoftAndHard),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SoftAndHard {
    pub(in crate::config) soft: i64,
    pub(in crate::config) hard: i64,
}
