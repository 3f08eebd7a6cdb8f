//! `after`: which processes and tasks come after which others. TOML's tables have no order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use toml::Spanned;

use super::diagnostic::Mistake;
use crate::model::ProcessName;
use crate::suggest::nearest;

/// What comes after what, without circles.
#[derive(Debug, Clone, Default)]
pub struct Order(BTreeMap<ProcessName, BTreeSet<ProcessName>>);

impl Order {
    /// These names, each after those that it comes after; otherwise in the order in which they are given. Names that are
    /// not given are left out.
    pub fn sorted(&self, names: impl IntoIterator<Item = ProcessName>) -> Vec<ProcessName> {
        let names: Vec<ProcessName> = names.into_iter().collect();
        let (mut seen, mut sorted) = (BTreeSet::new(), vec![]);
        for name in &names {
            self.visit(name, &mut seen, &mut sorted);
        }
        sorted.retain(|name| names.contains(name));
        sorted
    }

    /// Each name once: where many come after many, there are more ways than anybody can go.
    fn visit<'o>(
        &'o self,
        name: &'o ProcessName,
        seen: &mut BTreeSet<&'o ProcessName>,
        sorted: &mut Vec<ProcessName>,
    ) {
        if !seen.insert(name) {
            return;
        }
        for first in self.0.get(name).into_iter().flatten() {
            self.visit(first, seen, sorted);
        }
        sorted.push(name.clone());
    }
}

/// What was written, to be checked when all names are known.
#[derive(Default)]
pub(super) struct After(Vec<(ProcessName, Vec<Spanned<ProcessName>>)>);

impl After {
    /// Adds what one of them says.
    pub(super) fn add(&mut self, name: &Spanned<ProcessName>, after: &[Spanned<ProcessName>]) {
        self.0.push((name.get_ref().clone(), after.to_vec()));
    }

    /// Every name is known, and nothing comes after itself.
    pub(super) fn check(self, services: &[&str]) -> Result<Order, Mistake> {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let mut order = Order::default();
        for (name, after) in &self.0 {
            for other in after {
                let other_is = other.get_ref();
                if services.contains(&other_is.as_str()) {
                    let what = format!("'{name}' cannot come after service '{other_is}'");
                    return Err(Mistake::at(other.span(), what)
                        .help("services start before everything else: remove it"));
                }
                if !names.contains(&other_is.as_str()) {
                    let what = format!("'{name}' cannot come after '{other_is}', which is not there");
                    return Err(Mistake::at(other.span(), what).help(nearest(other_is.as_str(), &names)));
                }
                order.0.entry(name.clone()).or_default().insert(other_is.clone());
            }
        }
        let written = self.0.iter().flat_map(|(name, after)| after.iter().map(move |other| (name, other)));
        if let Some((name, last)) = order.circle() {
            let closes = |(of, other): &(&ProcessName, &Spanned<ProcessName>)| {
                **of == name && *other.get_ref() == last
            };
            if let (Some((_, other)), Some(way)) = (written.clone().find(closes), order.way(&last, &name)) {
                return Err(circle(other, &way));
            }
        }
        Ok(order)
    }
}

impl Order {
    /// Whether one is the other, or comes after it, be it by way of others.
    pub fn comes_after(&self, one: &ProcessName, other: &ProcessName) -> bool {
        self.way(one, other).is_some()
    }

    /// Two of which the one comes after the other, which comes after the one: found by going each way once.
    fn circle(&self) -> Option<(ProcessName, ProcessName)> {
        let mut done = BTreeSet::new();
        for begin in self.0.keys() {
            // The way to where we are, each with those of its own that are still to be gone to.
            let own = |name: &ProcessName| self.0.get(name).into_iter().flatten();
            let mut way = vec![(begin, own(begin))];
            while let Some((name, left)) = way.last_mut() {
                let name = *name;
                let Some(next) = left.next() else {
                    done.insert(name);
                    way.pop();
                    continue;
                };
                if way.iter().any(|(on_it, _)| *on_it == next) {
                    return Some((name.clone(), next.clone()));
                }
                if !done.contains(next) {
                    way.push((next, own(next)));
                }
            }
        }
        None
    }

    /// By way of whom one comes after another, from the one to the other; a shortest one.
    fn way<'o>(&'o self, one: &'o ProcessName, other: &ProcessName) -> Option<Vec<&'o ProcessName>> {
        let (mut seen, mut ways) = (BTreeSet::from([one]), VecDeque::from([vec![one]]));
        while let Some(way) = ways.pop_front() {
            let last = *way.last()?;
            if last == other {
                return Some(way);
            }
            for first in self.0.get(last).into_iter().flatten().filter(|first| seen.insert(*first)) {
                ways.push_back(way.iter().copied().chain([first]).collect());
            }
        }
        None
    }
}

/// How many are named of a circle.
const LONGEST_CIRCLE: usize = 8;

/// What comes after itself: at once, by way of one other, or of several.
fn circle(written: &Spanned<ProcessName>, way: &[&ProcessName]) -> Mistake {
    let at = |what: String| Mistake::at(written.span(), what);
    match way {
        [it] => at(format!("'{it}' cannot come after itself")).help("remove it"),
        [one, other] => {
            at(format!("'{other}' and '{one}' come after each other")).help("remove one of the two")
        }
        [.., begins] => {
            let mut pairs = [*begins].into_iter().chain(way.iter().copied()).map(|name| format!("'{name}'"));
            let first = pairs.next().unwrap_or_default();
            let mut rest: Vec<String> = pairs.collect();
            if rest.len() > LONGEST_CIRCLE {
                let more = rest.len() - LONGEST_CIRCLE;
                rest.splice(LONGEST_CIRCLE / 2..LONGEST_CIRCLE / 2 + more, [format!("{more} more")]);
            }
            at(format!("a circle: {first} comes after {}", rest.join(", that after ")))
                .help("remove one of them")
        }
        [] => at("it comes after itself".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&str, &[&str])]) -> Result<Order, String> {
        let mut after = After::default();
        for (name, others) in lines {
            let others: Vec<_> =
                others.iter().map(|other| Spanned::new(0..1, other.parse().unwrap())).collect();
            after.add(&Spanned::new(0..1, name.parse().unwrap()), &others);
        }
        after.check(&["db"]).map_err(|mistake| mistake.what)
    }

    #[test]
    fn each_comes_after_what_it_names_and_nothing_else_moves() {
        let order = of(&[("front", &["web"]), ("web", &[]), ("worker", &["web"]), ("a", &[])]).unwrap();
        let sorted = |names: &[&str]| {
            let sorted = order.sorted(names.iter().map(|name| name.parse().unwrap()));
            sorted.iter().map(ProcessName::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(sorted(&["front", "worker", "a", "web"]), "web front worker a");
        assert_eq!(sorted(&["worker", "front"]), "worker front");
    }

    #[test]
    fn circles_and_unknown_names_are_mistakes() {
        let wrong = |lines: &[(&str, &[&str])]| of(lines).unwrap_err();
        assert_eq!(
            wrong(&[("a", &["b"]), ("b", &["x", "c"]), ("c", &["a"]), ("x", &[])]),
            "a circle: 'c' comes after 'a', that after 'b', that after 'c'"
        );
        let many: Vec<(String, [String; 1])> =
            (0..30).map(|n| (format!("p{n}"), [format!("p{}", (n + 1) % 30)])).collect();
        let many: Vec<(&str, [&str; 1])> =
            many.iter().map(|(it, [after])| (it.as_str(), [after.as_str()])).collect();
        let many: Vec<(&str, &[&str])> = many.iter().map(|(it, after)| (*it, after.as_slice())).collect();
        assert!(wrong(&many).contains("that after 22 more, that after"), "{}", wrong(&many));
        assert_eq!(wrong(&[("a", &["b"]), ("b", &["a"])]), "'b' and 'a' come after each other");
        assert_eq!(wrong(&[("a", &["a"])]), "'a' cannot come after itself");
        assert!(wrong(&[("a", &["x"])]).contains("not there"));
        assert_eq!(wrong(&[("a", &["db"])]), "'a' cannot come after service 'db'");
    }

    /// Each layer comes after all of the one before it: there are 4^30 ways.
    #[test]
    fn many_that_cross_take_no_time() {
        let name = |layer: usize, n: usize| format!("l{layer}-{n}");
        let layer = |layer: usize| (0..4).map(|n| name(layer, n)).collect::<Vec<_>>();
        let lines: Vec<(String, Vec<String>)> = (0..30)
            .flat_map(|at| {
                layer(at).into_iter().map(move |it| (it, if at == 0 { vec![] } else { layer(at - 1) }))
            })
            .collect();
        let lines: Vec<(&str, Vec<&str>)> = lines
            .iter()
            .map(|(it, after)| (it.as_str(), after.iter().map(String::as_str).collect()))
            .collect();
        let lines: Vec<(&str, &[&str])> = lines.iter().map(|(it, after)| (*it, after.as_slice())).collect();
        let order = of(&lines).unwrap();
        let (first, last): (ProcessName, ProcessName) =
            (name(0, 0).parse().unwrap(), name(29, 3).parse().unwrap());
        assert!(order.comes_after(&last, &first) && !order.comes_after(&first, &last));
        assert_eq!(order.sorted([last.clone(), first.clone()]), [first, last]);
    }
}
