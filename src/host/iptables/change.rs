//! From a table as it is to the lines that change it.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::mark;
use crate::model::AppName;

/// Where in a chain a rule is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Place {
    /// Before all else, such as Docker's own.
    First,
    /// Behind all else: what the other rules do, they have done.
    Last,
}

/// A rule that brings packets into the chain of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Hook {
    /// The kernel's chain that it is in.
    pub(in crate::host) from: &'static str,
    /// Where in it.
    pub(in crate::host) at: Place,
    /// Which packets it is about.
    pub(in crate::host) matches: String,
}

/// How a table is to be of an app.
#[derive(Debug)]
pub(in crate::host) enum Wanted {
    /// Packets go through the chain.
    Hooked {
        /// What the chain does.
        chain: Vec<String>,
        /// What brings packets into it. None: as if it were gone.
        hooks: Vec<Hook>,
    },
    /// They do not, and the chain is left.
    Unhooked,
    /// Nothing is there.
    Gone,
}

/// Where a connection begins: from outside and from containers, and from the host itself.
pub(in crate::host) const BEGINNINGS: [&str; 2] = ["PREROUTING", "OUTPUT"];

/// Matches what begins a connection to a port of this host, at one of its addresses or (unspecified) at all of them; with `until`,
/// not longer than that. Only the first packet of a connection: the first NAT rule of IPv6 turns tracking on, and would take
/// established connections for new ones.
pub(in crate::host) fn new_connections(
    address: IpAddr,
    port: u16,
    until: Option<Timestamp>,
    comment: &str,
) -> String {
    let to = if address.is_unspecified() { String::new() } else { format!("-d {address} ") };
    let new = format!("-p tcp --dport {port} --syn -m addrtype --dst-type LOCAL");
    let until = until.map_or_else(String::new, |until| format!(" {}", end_at(until)));
    format!("{to}{new}{until} -m comment --comment \"{comment}\"")
}

/// When the kernel ends a rule, as it is printed.
pub(in crate::host) fn end_of(rule: &str) -> Option<Timestamp> {
    let (_, end) = rule.split_once("--datestop ")?;
    let end: DateTime = end.split(' ').next()?.parse().ok()?;
    Some(end.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// What makes the kernel end a rule by itself, at most a second later than then.
fn end_at(then: Timestamp) -> String {
    format!("-m time --datestop {}", then.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S"))
}

/// The rules that bring packets into the chain of an app, as `iptables-save` prints them.
pub(super) fn hooks<'s>(app: &AppName, saved: &'s str) -> Vec<&'s str> {
    let end = format!(" -j {}", mark::chain(app));
    saved.lines().filter(|line| line.starts_with("-A ") && line.ends_with(&end)).collect()
}

/// The lines for `iptables-restore --noflush`; nothing when all is as it should be. Removals are taken from what was
/// printed: a rule is printed in other words than it was written in, and one that is missing fails a transaction.
pub(super) fn changes(app: &AppName, saved: &str, wanted: &Wanted) -> Option<String> {
    let chain = mark::chain(app);
    let is_there = saved.lines().any(|line| line.starts_with(&format!(":{chain} ")));
    let mut lines: Vec<String> =
        hooks(app, saved).iter().map(|hook| hook.replacen("-A ", "-D ", 1)).collect();
    // Makes a chain, or empties the one that is there.
    let emptied = format!(":{chain} - [0:0]");
    match wanted {
        Wanted::Hooked { chain: rules, hooks } if !hooks.is_empty() => {
            lines.push(emptied);
            lines.extend(rules.iter().map(|rule| format!("-A {chain} {rule}")));
            let put = |Hook { from, at, matches }: &Hook| match at {
                Place::First => format!("-I {from} 1 {matches} -j {chain}"),
                Place::Last => format!("-A {from} {matches} -j {chain}"),
            };
            lines.extend(hooks.iter().map(put));
        }
        Wanted::Hooked { .. } | Wanted::Gone if is_there => lines.extend([emptied, format!("-X {chain}")]),
        Wanted::Hooked { .. } | Wanted::Gone | Wanted::Unhooked => {}
    }
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As iptables-nft 1.8.9 prints it, with another app and somebody's own rule.
    const SAVED: &str = "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n:HANDOVER-shop - [0:0]\n:HANDOVER-shop-2 - [0:0]\n\
        -A PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment \"handover shop d-1\" -j HANDOVER-shop\n\
        -A PREROUTING -p tcp -m tcp --dport 81 -m comment --comment \"handover shop-2 d-7\" -j HANDOVER-shop-2\n\
        -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
        -A OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment \"handover shop d-1\" -j HANDOVER-shop\n\
        -A HANDOVER-shop -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.3:8000\nCOMMIT\n";

    fn shop() -> AppName {
        "shop".parse().unwrap()
    }

    fn hooked() -> Wanted {
        let hook = |(from, at)| Hook { from, at, matches: "-p tcp --dport 80".to_owned() };
        let hooks = [("PREROUTING", Place::First), ("OUTPUT", Place::Last)].map(hook).to_vec();
        Wanted::Hooked { chain: vec!["-j A".to_owned()], hooks }
    }

    #[test]
    fn what_is_there_is_replaced_in_one_transaction() {
        insta::assert_snapshot!(changes(&shop(), SAVED, &hooked()).unwrap(), @r#"
        -D PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        -D OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        :HANDOVER-shop - [0:0]
        -A HANDOVER-shop -j A
        -I PREROUTING 1 -p tcp --dport 80 -j HANDOVER-shop
        -A OUTPUT -p tcp --dport 80 -j HANDOVER-shop
        "#);
    }

    #[test]
    fn what_is_taken_away_is_what_was_found() {
        insta::assert_snapshot!(changes(&shop(), SAVED, &Wanted::Unhooked).unwrap(), @r#"
        -D PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        -D OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        "#);
        let chain_only = "*nat\n:HANDOVER-shop - [0:0]\nCOMMIT\n";
        insta::assert_snapshot!(changes(&shop(), chain_only, &Wanted::Gone).unwrap(), @r"
        :HANDOVER-shop - [0:0]
        -X HANDOVER-shop
        ");
    }

    #[test]
    fn where_nothing_is_nothing_is_changed() {
        let empty = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n";
        let nothing = Wanted::Hooked { chain: vec![], hooks: vec![] };
        for wanted in [Wanted::Unhooked, Wanted::Gone, nothing] {
            assert_eq!(changes(&shop(), empty, &wanted), None, "{wanted:?}");
            assert_eq!(changes(&shop(), "", &wanted), None, "{wanted:?}");
        }
    }
}
