//! What a URL line changes in the plan beside its destination: the ports of Landlock, the files that name the resolver.

use agentfile::plan::{FileRights, MountSource, Plan};

use crate::support::plan;

fn of(lines: &str) -> Plan {
    plan(&format!("AGENT x\nCMD /bin/true\n{lines}\n"))
}

/// The text of a file of the plan's own, and where it was asked for.
fn file<'a>(plan: &'a Plan, target: &str) -> Option<(&'a str, String)> {
    let mount = plan.mounts.iter().find(|mount| mount.target == target)?;
    match &mount.source {
        MountSource::File { content, .. } => Some((content, mount.origin.to_string())),
        _ => None,
    }
}

#[test]
fn only_the_agents_own_destinations_open_a_port() {
    let ports = |lines: &str| -> Vec<(u16, String)> {
        of(lines).landlock.connect.iter().map(|rule| (rule.port, rule.origin.to_string())).collect()
    };
    let at = |port: u16, line: u32| (port, format!("Agentfile:{line}:1"));
    assert_eq!(ports(""), []);
    assert_eq!(ports("SERVER s https://a.example/mcp"), []);
    assert_eq!(
        ports("URL tcp://a.example:5432\nURL https://b.example\nURL https://c.example"),
        [at(53, 3), at(443, 4), at(5432, 3)]
    );
    assert_eq!(ports("URL https://a.example\nURL tcp://ns.example:53"), [at(53, 4), at(443, 3)]);
}

#[test]
fn names_are_asked_of_the_gateway_where_there_is_a_network_and_of_nobody_elsewhere() {
    let without = of("SERVER s https://a.example/mcp");
    assert_eq!(
        file(&without, "/etc/resolv.conf"),
        Some(("# No resolver: this sandbox has no network.\n", "policies/base.toml".to_owned()))
    );
    let with = of("URL https://a.example");
    let (text, origin) = file(&with, "/etc/resolv.conf").unwrap();
    assert_eq!(text, "nameserver 198.18.0.1\noptions timeout:2 attempts:2 edns0\n");
    assert_eq!(origin, "Agentfile:3:1");
    assert!(file(&with, "/etc/nsswitch.conf").unwrap().0.contains("\nhosts: files dns\n"));
    let hosts = file(&with, "/etc/hosts").unwrap().0;
    for line in hosts.lines() {
        let (address, name) = line.split_once(' ').unwrap();
        assert!(address.parse::<std::net::IpAddr>().unwrap().is_loopback(), "{line}");
        assert!(name.starts_with("localhost"), "{line}");
    }
    assert_eq!(hosts.lines().count(), 2, "both families");
}

#[test]
fn an_empty_root_has_the_files_of_the_resolver_only_with_a_network() {
    let files = ["/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];
    let without = of("FROM scratch");
    let with = of("FROM scratch\nURL https://a.example");
    for target in files {
        assert_eq!(file(&without, target), None);
        assert!(file(&with, target).is_some(), "{target}");
        let rule = with.landlock.rules.iter().find(|rule| rule.path == target).unwrap();
        assert_eq!(rule.rights, FileRights::Read, "{target}");
    }
    // What a line shows is whole: nothing of ours is made in it.
    let own = of("FROM scratch\nURL https://a.example\nBIND ./src /etc ro");
    assert!(own.mounts.iter().all(|mount| !mount.target.starts_with("/etc/")));
    let other = of("FROM scratch\nURL https://a.example\nBIND ./agent.py /etc/hosts ro");
    assert_eq!(file(&other, "/etc/hosts"), None);
    assert!(file(&other, "/etc/resolv.conf").is_some());
}
