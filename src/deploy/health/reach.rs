//! Where a container listens, when nobody takes a connection where it is asked. Pure.

use std::collections::BTreeSet;

use crate::host::machine::sockets::Socket;
use crate::model::ProcessName;

/// What follows "could not connect …", and the fix, by the sockets that listen in the container.
pub(super) fn listens(wanted: u16, sockets: &[Socket], process: &ProcessName) -> (String, String) {
    if sockets.is_empty() {
        return ("; nothing in the container listens on any port".to_owned(), String::new());
    }
    let here: BTreeSet<String> = sockets
        .iter()
        .filter(|socket| socket.port == wanted)
        .map(|socket| std::net::SocketAddr::new(socket.address, wanted).to_string())
        .collect();
    if !here.is_empty() {
        let fix = format!(
            "let the app listen on all addresses (0.0.0.0:{wanted}): from outside of the container only its own address is reached"
        );
        return (format!("; in the container it listens on {} only", listed(&here)), fix);
    }
    let others: BTreeSet<u16> = sockets.iter().map(|socket| socket.port).collect();
    let first = others.first().copied().unwrap_or_default();
    let fix = format!(
        "let the app listen on {wanted}, or write its port into 'publish' of [process.{process}] and, if it stands there, as port = {first} into [process.{process}.health]"
    );
    (format!("; in the container listens port {}", listed(&others)), fix)
}

fn listed<T: ToString>(all: &BTreeSet<T>) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;

    #[test]
    fn another_port_a_closed_address_and_nothing_are_told_apart() {
        let process = "web".parse().unwrap();
        let of = |sockets: &[(&str, u16)]| {
            let socket = |(address, port): &(&str, u16)| Socket {
                protocol: Protocol::Tcp,
                address: address.parse().unwrap(),
                port: *port,
                inode: 1,
            };
            listens(8000, &sockets.iter().map(socket).collect::<Vec<_>>(), &process)
        };
        assert_eq!(of(&[]).0, "; nothing in the container listens on any port");
        let (what, fix) = of(&[("0.0.0.0", 8080), ("::", 8080), ("0.0.0.0", 9100)]);
        assert_eq!(what, "; in the container listens port 8080, 9100");
        assert!(fix.contains("[process.web.health]") && fix.contains("port = 8080"), "{fix}");
        let (what, fix) = of(&[("127.0.0.1", 8000), ("0.0.0.0", 9100)]);
        assert_eq!(what, "; in the container it listens on 127.0.0.1:8000 only");
        assert!(fix.contains("0.0.0.0:8000"), "{fix}");
    }
}
