//! From the tables as they are to the transaction that changes them.

use super::mark;
use crate::model::AppName;

/// Where a connection begins: from outside and from containers, and from the host itself.
const BEGINNINGS: [&str; 2] = ["PREROUTING", "OUTPUT"];

/// How the tables are to be of an app.
#[derive(Debug)]
pub(super) enum Wanted {
    /// New connections go through the chain.
    Hooked {
        /// What the chain does.
        chain: Vec<String>,
        /// What brings connections into it. None: as if it were gone.
        hooks: Vec<String>,
    },
    /// They do not, and the chain is left.
    Unhooked,
    /// Nothing is there.
    Gone,
}

/// The rules that bring connections into the chain of an app, as `iptables-save` prints them.
pub(super) fn hooks<'s>(app: &AppName, saved: &'s str) -> Vec<&'s str> {
    let end = format!(" -j {}", mark::chain(app));
    saved.lines().filter(|line| line.starts_with("-A ") && line.ends_with(&end)).collect()
}

/// What `iptables-restore --noflush` is to read; nothing when all is as it should be. Removals are taken from what was
/// printed: a rule is printed in other words than it was written in, and one that is missing fails a transaction.
pub(super) fn transaction(app: &AppName, saved: &str, wanted: &Wanted) -> Option<String> {
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
            // Before Docker's own.
            let inserted = |hook| BEGINNINGS.map(|beginning| format!("-I {beginning} 1 {hook} -j {chain}"));
            lines.extend(hooks.iter().flat_map(inserted));
        }
        Wanted::Hooked { .. } | Wanted::Gone if is_there => lines.extend([emptied, format!("-X {chain}")]),
        Wanted::Hooked { .. } | Wanted::Gone | Wanted::Unhooked => {}
    }
    (!lines.is_empty()).then(|| format!("*nat\n{}\nCOMMIT\n", lines.join("\n")))
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
        Wanted::Hooked { chain: vec!["-j A".to_owned()], hooks: vec!["-p tcp --dport 80".to_owned()] }
    }

    #[test]
    fn what_is_there_is_replaced_in_one_transaction() {
        insta::assert_snapshot!(transaction(&shop(), SAVED, &hooked()).unwrap(), @r#"
        *nat
        -D PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        -D OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        :HANDOVER-shop - [0:0]
        -A HANDOVER-shop -j A
        -I PREROUTING 1 -p tcp --dport 80 -j HANDOVER-shop
        -I OUTPUT 1 -p tcp --dport 80 -j HANDOVER-shop
        COMMIT
        "#);
    }

    #[test]
    fn what_is_taken_away_is_what_was_found() {
        insta::assert_snapshot!(transaction(&shop(), SAVED, &Wanted::Unhooked).unwrap(), @r#"
        *nat
        -D PREROUTING -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        -D OUTPUT -p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "handover shop d-1" -j HANDOVER-shop
        COMMIT
        "#);
        let chain_only = "*nat\n:HANDOVER-shop - [0:0]\nCOMMIT\n";
        insta::assert_snapshot!(transaction(&shop(), chain_only, &Wanted::Gone).unwrap(), @r"
        *nat
        :HANDOVER-shop - [0:0]
        -X HANDOVER-shop
        COMMIT
        ");
    }

    #[test]
    fn where_nothing_is_nothing_is_changed() {
        let empty = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n";
        let nothing = Wanted::Hooked { chain: vec![], hooks: vec![] };
        for wanted in [Wanted::Unhooked, Wanted::Gone, nothing] {
            assert_eq!(transaction(&shop(), empty, &wanted), None, "{wanted:?}");
            assert_eq!(transaction(&shop(), "", &wanted), None, "{wanted:?}");
        }
    }
}
