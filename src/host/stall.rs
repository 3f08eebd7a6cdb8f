//! The stall: for a short time new connections to the published ports of a process wait instead of being refused. Their first
//! packets are dropped, and every client's kernel sends them again by itself: after a second, then after another one or two.
//!
//! The rules stand in the table raw, before connections are told apart and before all NAT: so nothing is remembered of what was
//! dropped, whichever way it would have gone, and IPv6 is not tracked for their sake. The kernel ends them at their time,
//! whoever is still there.

use jiff::Timestamp;

use super::docker::HostPort;
use super::iptables::{
    BEGINNINGS, Family, Hook, Iptables, IptablesError, Mark, Place, Table, Wanted, end_of, new_connections,
};
use crate::model::{AppName, ProcessName};

/// The stall of a process on this host, whether it is there or not.
#[derive(Debug)]
pub struct Stall<'a> {
    /// The programs.
    pub iptables: &'a Iptables,
    /// The app.
    pub app: &'a AppName,
    /// The process whose clients wait.
    pub process: &'a ProcessName,
}

impl Stall<'_> {
    /// From now until then, at most a second longer, new connections to these ports wait. What was there of this process before is
    /// replaced.
    ///
    /// # Errors
    /// When the rules cannot be read or changed; of IPv6 only where a port is published at one of its addresses.
    pub async fn put(
        &self,
        ports: &[HostPort],
        deployment: &str,
        until: Timestamp,
    ) -> Result<(), IptablesError> {
        for family in Family::BOTH {
            let is_here = |port: &&HostPort| port.address.is_unspecified() || family.is_of(port.address);
            let mine = ports.iter().filter(is_here).flat_map(|port| {
                let comment = self.comment(deployment);
                let matches = new_connections(port.address, port.port, Some(until), &comment);
                BEGINNINGS.map(|from| Hook { from, at: Place::First, matches: matches.clone() })
            });
            let hooks = self.of_others(family).await?.into_iter().chain(mine).collect();
            match self.change(family, hooks).await {
                Err(error) if family == Family::V6 && !ports.iter().any(is_of_ipv6_alone) => {
                    tracing::warn!("connections of IPv6 are not made to wait: {error}");
                }
                changed => changed?,
            }
        }
        Ok(())
    }

    /// From now on they come through.
    ///
    /// # Errors
    /// When the rules cannot be read or changed.
    pub async fn end(&self) -> Result<(), IptablesError> {
        for family in Family::BOTH {
            let hooks = self.of_others(family).await?;
            self.change(family, hooks).await?;
        }
        Ok(())
    }

    /// When the kernel ends it; nothing where nobody waits.
    ///
    /// # Errors
    /// When the rules cannot be read.
    pub async fn until(&self) -> Result<Option<Timestamp>, IptablesError> {
        for family in Family::BOTH {
            let hooks = self.iptables.hooks(Table::Raw, family, self.app).await?;
            if let Some(hook) = hooks.iter().find(|hook| self.is_mine(hook)) {
                return Ok(end_of(hook));
            }
        }
        Ok(None)
    }

    async fn change(&self, family: Family, hooks: Vec<Hook>) -> Result<(), IptablesError> {
        let wanted = Wanted::Hooked { chain: vec!["-j DROP".to_owned()], hooks };
        self.iptables.change(Table::Raw, family, self.app, &wanted).await
    }

    /// The rules by which clients of the app's other processes wait: they stay.
    async fn of_others(&self, family: Family) -> Result<Vec<Hook>, IptablesError> {
        let hooks = self.iptables.hooks(Table::Raw, family, self.app).await?;
        Ok(hooks.iter().filter(|hook| !self.is_mine(hook)).filter_map(|hook| as_printed(hook)).collect())
    }

    /// Behind the deployment, the process.
    fn comment(&self, deployment: &str) -> String {
        format!("{} {}", Mark { app: self.app, deployment }.comment(), self.process)
    }

    fn is_mine(&self, hook: &str) -> bool {
        Mark::deployment_in(hook)
            .and_then(|words| words.split_once(' '))
            .is_some_and(|(_, process)| process == self.process.as_str())
    }
}

/// Removes whatever rules there are by which clients of an app wait.
///
/// # Errors
/// When the rules cannot be read or changed.
pub async fn remove(app: &AppName, iptables: &Iptables) -> Result<(), IptablesError> {
    iptables.change_both(Table::Raw, app, &Wanted::Gone).await
}

/// Whether it is published at an address of IPv6: one that is unspecified is all of both families.
fn is_of_ipv6_alone(port: &HostPort) -> bool {
    port.address.is_ipv6() && !port.address.is_unspecified()
}

/// A rule that was printed, to be written again.
fn as_printed(hook: &str) -> Option<Hook> {
    let (from, rest) = hook.strip_prefix("-A ")?.split_once(' ')?;
    let from = BEGINNINGS.into_iter().find(|chain| *chain == from)?;
    let (matches, _) = rest.rsplit_once(" -j ")?;
    Some(Hook { from, at: Place::First, matches: matches.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::host::iptables::Tables;
    use crate::model::Protocol;

    /// As iptables-nft 1.8.9 prints it: the front server's clients wait.
    const SAVED: &str = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:HANDOVER-shop - [0:0]\n\
        -A PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment \"handover shop d-1 front\" -j HANDOVER-shop\n\
        -A OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment \"handover shop d-1 front\" -j HANDOVER-shop\n\
        -A HANDOVER-shop -j DROP\nCOMMIT\n";

    /// What is asked of a machine with these rules for IPv4, whose raw table has none of IPv6.
    fn machine(saved: &'static str) -> (Tables, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(vec![]));
        let told = Arc::clone(&asked);
        let answer = move |table, family, verb: &str, input: &str| match (table, family, verb) {
            (Table::Nat, _, _) => Ok("*nat\n:DOCKER - [0:0]\nCOMMIT\n".to_owned()),
            (_, Family::V4, "save") => Ok(saved.to_owned()),
            (_, Family::V6, _) => Err("there is no such table".to_owned()),
            (_, _, _) => {
                told.lock().unwrap().push(input.to_owned());
                Ok(String::new())
            }
        };
        (Tables::Pretended(Arc::new(answer)), asked)
    }

    fn port(address: &str) -> HostPort {
        HostPort { protocol: Protocol::Tcp, address: address.parse().unwrap(), port: 81 }
    }

    #[tokio::test]
    async fn each_process_has_its_own_among_those_of_the_app() {
        let (tables, asked) = machine(SAVED);
        let iptables = Iptables::any(&tables).await.unwrap();
        let app = "shop".parse().unwrap();
        let [front, api] = ["front", "api"].map(|name| name.parse::<ProcessName>().unwrap());
        let of = |process| Stall { iptables: &iptables, app: &app, process };
        let end = "2026-11-27T10:00:05Z".parse().unwrap();
        assert_eq!(of(&front).until().await.unwrap(), Some(end));
        assert_eq!(of(&api).until().await.unwrap(), None);

        let until = "2026-11-27T11:00:09.7+01:00".parse().unwrap();
        of(&api).put(&[port("10.0.0.5")], "d-2", until).await.unwrap();
        of(&front).end().await.unwrap();
        insta::assert_snapshot!(asked.lock().unwrap().join("---\n"), @r#"
        *raw
        -D PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment "handover shop d-1 front" -j HANDOVER-shop
        -D OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment "handover shop d-1 front" -j HANDOVER-shop
        :HANDOVER-shop - [0:0]
        -A HANDOVER-shop -j DROP
        -I PREROUTING 1 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment "handover shop d-1 front" -j HANDOVER-shop
        -I OUTPUT 1 -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment "handover shop d-1 front" -j HANDOVER-shop
        -I PREROUTING 1 -d 10.0.0.5 -p tcp --dport 81 --syn -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:09 -m comment --comment "handover shop d-2 api" -j HANDOVER-shop
        -I OUTPUT 1 -d 10.0.0.5 -p tcp --dport 81 --syn -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:09 -m comment --comment "handover shop d-2 api" -j HANDOVER-shop
        COMMIT
        ---
        *raw
        -D PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment "handover shop d-1 front" -j HANDOVER-shop
        -D OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m addrtype --dst-type LOCAL -m time --datestop 2026-11-27T10:00:05 -m comment --comment "handover shop d-1 front" -j HANDOVER-shop
        :HANDOVER-shop - [0:0]
        -X HANDOVER-shop
        COMMIT
        "#);
    }

    #[tokio::test]
    async fn an_address_of_ipv6_is_not_passed_over() {
        let (tables, _) = machine(SAVED);
        let iptables = Iptables::any(&tables).await.unwrap();
        let (app, process) = ("shop".parse().unwrap(), "web".parse().unwrap());
        let stall = Stall { iptables: &iptables, app: &app, process: &process };
        stall.put(&[port("0.0.0.0")], "d-2", Timestamp::now()).await.unwrap();
        stall.put(&[port("fd00::1")], "d-2", Timestamp::now()).await.unwrap_err();
    }
}
