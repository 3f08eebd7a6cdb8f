//! The tables nat and raw of a host, in memory. Strict: what the real programs refuse is refused, and so is what they would take
//! but handover does not write. `tests/instance/{redirect,stall}.rs` make the same changes to real ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Where new connections go.
    Nat,
    /// What packets there are.
    Raw,
}

impl Which {
    const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Raw => "raw",
        }
    }

    /// The chains that it has by itself.
    const fn own(self) -> &'static [&'static str] {
        match self {
            Self::Nat => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
            Self::Raw => &["PREROUTING", "OUTPUT"],
        }
    }

    /// What a rule may jump to beside a chain.
    const fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Nat => &["DNAT", "REDIRECT", "RETURN", "MASQUERADE"],
            Self::Raw => &["DROP", "RETURN"],
        }
    }
}

/// A table: its chains, with their rules as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    which: Which,
    chains: BTreeMap<String, Vec<String>>,
}

impl Table {
    /// As the Docker Engine leaves it.
    fn of_docker(which: Which) -> Self {
        let mut chains: BTreeMap<String, Vec<String>> =
            which.own().iter().map(|name| ((*name).to_owned(), vec![])).collect();
        if which == Which::Nat {
            chains.insert("DOCKER".to_owned(), vec!["-i docker0 -j RETURN".to_owned()]);
            let mut add = |chain: &str, rule: &str| chains.get_mut(chain).unwrap().push(rule.to_owned());
            add("PREROUTING", "-m addrtype --dst-type LOCAL -j DOCKER");
            add("OUTPUT", "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER");
        }
        Self { which, chains }
    }

    fn save(&self) -> String {
        let mut lines = vec![format!("*{}", self.which.name())];
        lines.extend(self.chains.keys().map(|chain| {
            let is_own = self.which.own().contains(&chain.as_str());
            format!(":{chain} {} [0:0]", if is_own { "ACCEPT" } else { "-" })
        }));
        for (chain, rules) in &self.chains {
            lines.extend(rules.iter().map(|rule| format!("-A {chain} {rule}")));
        }
        lines.push("COMMIT\n".to_owned());
        lines.join("\n")
    }

    /// All of it, or an error.
    fn restored(&self, input: &str) -> Result<Self, String> {
        let mut table = self.clone();
        let lines: Vec<&str> = input.lines().collect();
        let begin = format!("*{}", self.which.name());
        let [first, changes @ .., "COMMIT"] = lines.as_slice() else {
            return Err(format!("it is no transaction: {input}"));
        };
        if **first != begin {
            return Err(format!("it is no transaction of the table {}: {input}", self.which.name()));
        }
        for line in changes {
            table.change(line).map_err(|why| format!("line '{line}' failed: {why}"))?;
        }
        Ok(table)
    }

    fn change(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix(':') {
            let chain = rest.strip_suffix(" - [0:0]").ok_or("a chain is written ':NAME - [0:0]'")?;
            // XT_EXTENSION_MAXNAMELEN
            if chain.len() > 28 || self.which.own().contains(&chain) {
                return Err("that cannot be the name of a chain".to_owned());
            }
            self.chains.insert(chain.to_owned(), vec![]);
            return Ok(());
        }
        let (verb, rest) = line.split_once(' ').ok_or("it has no words")?;
        if verb == "-X" {
            let is_used = self.chains.values().flatten().any(|rule| rule.ends_with(&format!(" -j {rest}")));
            if is_used || self.chains.get(rest).is_none_or(|rules| !rules.is_empty()) {
                return Err("the chain is used, not empty, or not there".to_owned());
            }
            self.chains.remove(rest);
            return Ok(());
        }
        let (chain, rule) = rest.split_once(' ').ok_or("it has no rule")?;
        let (_, jump) = rule.rsplit_once("-j ").ok_or("the rule jumps nowhere")?;
        let target = jump.split(' ').next().unwrap_or_default();
        if !self.which.targets().contains(&target) && !self.chains.contains_key(target) {
            return Err(format!("there is no target '{target}'"));
        }
        let rules = self.chains.get_mut(chain).ok_or("there is no such chain")?;
        match verb {
            "-A" => rules.push(rule.to_owned()),
            "-I" => rules.insert(0, rule.strip_prefix("1 ").ok_or("a rule is inserted first")?.to_owned()),
            "-D" => {
                let at = rules.iter().position(|one| one == rule).ok_or("there is no such rule")?;
                rules.remove(at);
            }
            _ => return Err("that verb is not known".to_owned()),
        }
        Ok(())
    }
}

/// The tables of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Family {
    nat: Table,
    raw: Table,
}

impl Family {
    fn of_docker() -> Self {
        Self { nat: Table::of_docker(Which::Nat), raw: Table::of_docker(Which::Raw) }
    }

    fn table(&mut self, which: Which) -> &mut Table {
        match which {
            Which::Nat => &mut self.nat,
            Which::Raw => &mut self.raw,
        }
    }
}

/// The tables of a host.
#[derive(Debug)]
pub struct Tables {
    families: Mutex<[Family; 2]>,
    are_denied: AtomicBool,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            families: Mutex::new([Family::of_docker(), Family::of_docker()]),
            are_denied: AtomicBool::new(false),
        }
    }
}

impl Tables {
    /// What one of the programs answers: `verb` is `save` or `restore`.
    pub fn answer(&self, which: Which, v6: bool, verb: &str, input: &str) -> Result<String, String> {
        if self.are_denied.load(Ordering::Relaxed) {
            return Err("Permission denied (you must be root)".to_owned());
        }
        let mut tables = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables[usize::from(v6)].table(which);
        match verb {
            "save" => Ok(table.save()),
            "restore" => {
                *table = table.restored(input)?;
                Ok(String::new())
            }
            other => Err(format!("there is no iptables-{other}")),
        }
    }

    /// From now on nobody may look at them.
    pub fn deny(&self) {
        self.are_denied.store(true, Ordering::Relaxed);
    }

    /// Whether they are as the Engine alone would have them.
    pub fn are_clean(&self) -> bool {
        let tables = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter().all(|tables| *tables == Family::of_docker())
    }

    /// What a boot leaves: nothing of ours, because rules are not kept.
    pub fn boot(&self) {
        *self.families.lock().unwrap_or_else(PoisonError::into_inner) =
            [Family::of_docker(), Family::of_docker()];
    }

    /// Where a new connection of IPv4 to a port of this host goes at a time, by the rules; nothing where they do not say.
    pub fn way(&self, port: u16, at: Timestamp) -> Option<SocketAddr> {
        let tables = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let chains = &tables[0].nat.chains;
        let wanted = format!("--dport {port} ");
        let hook = chains["PREROUTING"].iter().find(|rule| rule.contains(&wanted) && is_on(rule, at))?;
        let (_, chain) = hook.rsplit_once("-j ")?;
        let rule = chains[chain].iter().find(|rule| rule.contains(&wanted))?;
        let (_, to) = rule.split_once("-j DNAT --to-destination ")?;
        to.parse().ok()
    }

    /// Whether a new connection of IPv4 to a port of this host waits at a time, from wherever it comes.
    pub fn holds(&self, port: u16, at: Timestamp) -> bool {
        let tables = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let chains = &tables[0].raw.chains;
        let wanted = format!("--dport {port} ");
        let drops = |from: &str| {
            let mut hooks = chains[from].iter().filter(|rule| rule.contains(&wanted) && is_on(rule, at));
            hooks.any(|hook| {
                let (_, chain) = hook.rsplit_once("-j ").expect("it jumps");
                chains[chain].iter().any(|rule| rule == "-j DROP")
            })
        };
        let held = which_of(["PREROUTING", "OUTPUT"].map(drops));
        held.expect("whoever waits, waits wherever it comes from")
    }
}

/// What two are, if they are the same.
fn which_of([one, other]: [bool; 2]) -> Option<bool> {
    (one == other).then_some(one)
}

/// Whether a rule has not come to its end (`-m time --datestop`, in UTC).
fn is_on(rule: &str, at: Timestamp) -> bool {
    let Some((_, end)) = rule.split_once("--datestop ") else { return true };
    let end: DateTime = end.split(' ').next().unwrap_or_default().parse().expect("a time");
    end.to_zoned(TimeZone::UTC).expect("a time of UTC").timestamp() >= at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_made_whole_or_not_at_all() {
        let tables = Tables::default();
        let put = "*nat\n:H - [0:0]\n-A H -p tcp --dport 80 -j DNAT --to-destination 127.0.0.1:32768\n\
                   -I PREROUTING 1 -p tcp --dport 80 --syn -j H\nCOMMIT\n";
        tables.answer(Which::Nat, false, "restore", put).unwrap();
        assert_eq!(tables.way(80, Timestamp::now()), Some("127.0.0.1:32768".parse().unwrap()));
        for bad in [
            "*nat\n-D PREROUTING -p tcp --dport 80 --syn -j H\n-D OUTPUT -j H\nCOMMIT\n",
            "*nat\n:H - [0:0]\n-X H\nCOMMIT\n",
            "*nat\n-A PREROUTING -j NOWHERE\nCOMMIT\n",
            "*nat\n:H - [0:0]\n",
        ] {
            let before = tables.answer(Which::Nat, false, "save", "").unwrap();
            assert!(tables.answer(Which::Nat, false, "restore", bad).is_err(), "{bad}");
            assert_eq!(tables.answer(Which::Nat, false, "save", "").unwrap(), before);
        }
        assert!(!tables.are_clean());
        let gone = "*nat\n-D PREROUTING -p tcp --dport 80 --syn -j H\n:H - [0:0]\n-X H\nCOMMIT\n";
        tables.answer(Which::Nat, false, "restore", gone).unwrap();
        assert!(tables.are_clean());
    }

    #[test]
    fn a_rule_comes_to_its_end() {
        let tables = Tables::default();
        let put = "*nat\n:H - [0:0]\n-A H --dport 80 -j DNAT --to-destination 10.0.0.1:1\n\
                   -I PREROUTING 1 --dport 80 -m time --datestop 2026-01-01T00:00:00 -j H\nCOMMIT\n";
        tables.answer(Which::Nat, false, "restore", put).unwrap();
        assert!(tables.way(80, "2025-12-31T23:59:59Z".parse().unwrap()).is_some());
        assert!(tables.way(80, "2026-01-01T00:00:01Z".parse().unwrap()).is_none());
    }

    #[test]
    fn a_connection_is_held_until_the_rule_comes_to_its_end() {
        let tables = Tables::default();
        let rules = |verb: &str| {
            let hook = "-p tcp --dport 80 --syn -m time --datestop 2026-01-01T00:00:00 -j H";
            format!("{verb} PREROUTING {hook}\n{verb} OUTPUT {hook}\n")
                .replace("-I PREROUTING", "-I PREROUTING 1")
                .replace("-I OUTPUT", "-I OUTPUT 1")
        };
        let put = format!("*raw\n:H - [0:0]\n-A H -j DROP\n{}COMMIT\n", rules("-I"));
        assert!(tables.answer(Which::Nat, false, "restore", &put).is_err(), "another table");
        tables.answer(Which::Raw, false, "restore", &put).unwrap();
        assert!(tables.holds(80, "2025-12-31T23:59:59Z".parse().unwrap()));
        assert!(!tables.holds(80, "2026-01-01T00:00:01Z".parse().unwrap()));
        assert!(!tables.holds(81, "2025-12-31T23:59:59Z".parse().unwrap()) && !tables.are_clean());
        let gone = format!("*raw\n{}:H - [0:0]\n-X H\nCOMMIT\n", rules("-D"));
        tables.answer(Which::Raw, false, "restore", &gone).unwrap();
        assert!(tables.are_clean());
    }
}
