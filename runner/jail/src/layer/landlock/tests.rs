//! The rules that a kernel is asked for, and that they hold for threads of this process.

use super::*;

#[test]
fn each_abi_handles_exactly_what_it_knows() {
    assert_eq!(handled(1), RulesetAttributes { access_fs: 0x1fff, access_net: 0, scoped: 0 });
    assert_eq!(handled(2), RulesetAttributes { access_fs: 0x3fff, access_net: 0, scoped: 0 });
    assert_eq!(handled(3), RulesetAttributes { access_fs: 0x7fff, access_net: 0, scoped: 0 });
    assert_eq!(handled(4), RulesetAttributes { access_fs: 0x7fff, access_net: 3, scoped: 0 });
    assert_eq!(handled(5), RulesetAttributes { access_fs: 0xffff, access_net: 3, scoped: 0 });
    assert_eq!(handled(6), RulesetAttributes { access_fs: 0xffff, access_net: 3, scoped: 3 });
    assert_eq!(handled(7), handled(6));
    assert_eq!((1..=7).map(attribute_size).collect::<Vec<_>>(), [8, 8, 8, 16, 16, 24, 24]);
}

#[test]
fn a_kernel_below_the_plan_is_refused_and_a_newer_one_is_used_as_the_newest_known() {
    assert!(admit(0, 1).is_err());
    assert!(admit(3, 4).is_err());
    assert!(admit(0, 0).is_err(), "no Landlock at all is never enough");
    assert_eq!(admit(4, 4).ok(), Some(4));
    assert_eq!(admit(9, 1).ok(), Some(NEWEST));
}

fn planned(ports: &[u16]) -> Planned {
    let origin = Origin { file: "Agentfile".to_owned(), line: 3, column: 1 };
    let connect = ports.iter().map(|port| ConnectRule { port: *port, origin: origin.clone() }).collect();
    Planned { minimum_abi: 1, rules: Vec::new(), connect }
}

#[test]
fn ports_are_asked_for_where_the_kernel_knows_them() {
    assert!(ports(3, &planned(&[53, 443])).is_empty());
    assert_eq!(ports(4, &planned(&[53, 443])).len(), 2);
}

#[test]
fn only_the_planned_ports_can_be_connected_to_and_none_bound() {
    use std::net::{TcpListener, TcpStream};
    assert!(kernel::landlock_abi().unwrap() >= NET_SINCE, "this test needs Landlock ABI 4");
    let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let [declared, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    for address in [declared, other] {
        TcpStream::connect(address).expect("control: both can be reached before");
    }
    // A domain holds for the thread that entered it.
    let denied = Some(std::io::ErrorKind::PermissionDenied);
    let inside = std::thread::spawn(move || {
        kernel::set_no_new_privs().unwrap();
        Landlock::prepare(&planned(&[declared.port()]), |_| true).unwrap().apply().unwrap();
        TcpStream::connect(declared).expect("the declared port can be reached");
        assert_eq!(TcpStream::connect(other).err().map(|error| error.kind()), denied);
        assert_eq!(TcpListener::bind(("127.0.0.1", 0)).err().map(|error| error.kind()), denied);
    });
    inside.join().unwrap();
}

#[test]
fn a_path_that_leads_elsewhere_afterwards_changes_no_rule_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["declared", "other"] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("file"), name).unwrap();
    }
    let origin = Origin { file: "Agentfile".to_owned(), line: 3, column: 1 };
    let path = at("declared").to_str().unwrap().to_owned();
    let rule = agentfile::plan::LandlockRule { path, rights: FileRights::Read, optional: false, origin };
    let planned = Planned { minimum_abi: 1, rules: vec![rule], connect: Vec::new() };
    let prepare = |planned: &Planned| {
        kernel::set_no_new_privs().unwrap();
        Landlock::prepare(planned, |_| true).unwrap()
    };
    let first = planned.clone();
    let agent = std::thread::spawn(move || {
        let landlock = prepare(&first);
        landlock.apply().unwrap();
        landlock.opened().collect::<Vec<_>>()
    });
    let opened = agent.join().unwrap();
    assert_eq!(opened.len(), 1);
    std::fs::rename(at("declared"), at("moved")).unwrap();
    std::os::unix::fs::symlink(at("other"), at("declared")).unwrap();
    let (moved, through) = (at("moved/file"), at("declared/file"));
    let mut opened: Vec<_> = opened.into_iter().map(Some).collect();
    for (kept, expected) in [(true, [true, false]), (false, [false, true])] {
        let opened = if kept { std::mem::replace(&mut opened, vec![None]) } else { vec![None] };
        let (planned, moved, through) = (planned.clone(), moved.clone(), through.clone());
        let tool = std::thread::spawn(move || {
            prepare(&planned).apply_again(&opened).unwrap();
            [moved, through].map(|path| std::fs::read(path).is_ok())
        });
        assert_eq!(tool.join().unwrap(), expected, "the path is opened again: {}", !kept);
    }
}

#[test]
fn device_nodes_can_never_be_made() {
    for rights in
        [FileRights::List, FileRights::Read, FileRights::ReadExecute, FileRights::ReadWrite, FileRights::Full]
    {
        assert_eq!(bits(rights) & (1 << 6 | 1 << 11), 0, "MAKE_CHAR and MAKE_BLOCK");
    }
    assert_eq!(handled(1).access_fs & (1 << 6 | 1 << 11), 1 << 6 | 1 << 11);
}
