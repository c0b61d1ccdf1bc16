//! What reaches outside the Agentfile's own folder, and so needs a person's consent.

use std::net::IpAddr;

use crate::address;
use crate::boundary::{Boundaries, Content};
use crate::plan::{Grant, HostPath};
use crate::syntax::BindMode;

/// All that has to be asked for, in the order of the text within each class.
pub(super) fn lower(boundaries: &Boundaries) -> Vec<Grant> {
    let mut grants = Vec::new();
    for share in &boundaries.shares {
        let Content::Bind { source, mode, .. } = &share.content else { continue };
        if matches!(source, HostPath::Project(_)) {
            continue;
        }
        let path = String::from(source.clone());
        let asks = match mode {
            BindMode::ReadOnly => format!("read `{path}` as `{}`", share.target),
            BindMode::ReadWrite => format!("read and write `{path}` as `{}`", share.target),
            BindMode::Copy => format!("read `{path}`, and write a private copy of it, as `{}`", share.target),
        };
        grants.push(Grant { asks, origin: share.place.origin.clone() });
    }
    for credential in &boundaries.credentials {
        let value = match credential.source.split_once(':') {
            Some(("env", name)) => format!("the environment variable `{name}`"),
            Some(("file" | "dotenv", path)) => format!("the file `{path}`"),
            Some(("keyring", key)) => format!("`{key}` of the keyring"),
            _ => format!("`{}`", credential.source),
        };
        let towards = if credential.hosts.is_empty() {
            "towards no host".to_owned()
        } else {
            format!("towards {}", credential.hosts.join(", "))
        };
        let asks = format!("use the value of {value} as `{}`, {towards}", credential.name);
        grants.push(Grant { asks, origin: credential.place.origin.clone() });
    }
    let servers = boundaries.servers.iter().map(|server| &server.host);
    for host in boundaries.hosts.iter().chain(servers).filter(|host| is_private(&host.host)) {
        let asks = format!("connect to the private address `{}`, port {}", host.host, host.port);
        grants.push(Grant { asks, origin: host.place.origin.clone() });
    }
    // What a server of the package asks for, the package asks for; that one of the host's is used at all, too.
    for mcp in &boundaries.mcp {
        if let Some(table) = &mcp.host {
            let asks = format!("use the server `{}` of this host (`{table}`)", mcp.name);
            grants.push(Grant { asks, origin: mcp.place.origin.clone() });
        }
        let asked = mcp.plan.iter().flat_map(|plan| &plan.grants);
        grants.extend(asked.map(|grant| Grant {
            asks: format!("let the server `{}` {}", mcp.name, grant.asks),
            origin: mcp.place.origin.clone(),
        }));
    }
    grants
}

/// Whether `host` is an address, or a name, of this machine or of its own network. What a name resolves to is the
/// gateway's to judge.
fn is_private(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address::special(address).is_some(),
        Err(_) => {
            host == "localhost"
                || [".localhost", ".local", ".internal", ".lan", ".home.arpa"]
                    .iter()
                    .any(|suffix| host.ends_with(suffix))
                || !host.contains('.')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn addresses_of_the_machine_and_its_network_need_consent() {
        for host in [
            "127.0.0.1",
            "10.0.0.5",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "localhost",
            "db.internal",
            "printer",
            "0.0.0.0",
            "255.255.255.255",
            "192.0.0.192",
            "64:ff9b::a00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in ["1.1.1.1", "api.github.com", "2606:4700::1111", "*.example.com"] {
            assert!(!is_private(host), "{host}");
        }
    }
}
