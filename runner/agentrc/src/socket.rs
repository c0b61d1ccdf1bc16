//! Whose socket was that? A denial names the process that was denied, as long as it still holds the socket
//! (proc_net(5), proc_pid_fd(5)): for people. Who asks the broker is found in the same way, and one that is not found is not
//! served.

use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use agentrc_egress::report::Client;
use rustix::time::{ClockId, clock_gettime};

/// Most processes and descriptors that are looked at, bytes of a table that are read, and processor time that it may take: the agent
/// makes as many of them as it likes, and the supervisor has other things to do. On a busy machine it takes no more.
const PROCESSES: usize = 4096;
const LINKS: usize = 20_000;
const TABLE: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_millis(50);
/// The same for who asks the broker: not to find him is to refuse him.
const MORE_PATIENCE: Duration = Duration::from_millis(500);

/// A process inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid inside.
    pub pid: i32,
    /// Its name (comm).
    pub name: String,
}

/// The process beneath `init` that holds the socket. `None`: it is gone, or cannot be told.
#[must_use]
pub fn process_of(client: &Client, init: i32) -> Option<Process> {
    holder(client, init, PATIENCE).and_then(process)
}

/// The same, as the host numbers it, for who asks the broker.
#[must_use]
pub fn who_asks(client: &Client, init: i32) -> Option<i32> {
    holder(client, init, MORE_PATIENCE)
}

/// The processor time that this thread has had.
fn spent() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

fn holder(client: &Client, init: i32, patience: Duration) -> Option<i32> {
    let deadline = spent() + patience;
    let root = Path::new("/proc");
    let mut links = 0;
    let families: [&str; 2] = if client.tcp { ["tcp", "tcp6"] } else { ["udp", "udp6"] };
    let inode = families.iter().find_map(|family| {
        let mut table = String::new();
        let file = fs::File::open(root.join(format!("{init}/net/{family}"))).ok()?;
        file.take(TABLE).read_to_string(&mut table).ok()?;
        inode_of(&table, client.address)
    })?;
    let wanted = format!("socket:[{inode}]");
    // The sandbox's processes are init's descendants: orphans become its children.
    let mut waiting = vec![init];
    let mut looked_at = 0;
    while let Some(pid) = waiting.pop() {
        looked_at += 1;
        if looked_at > PROCESSES || links > LINKS || spent() > deadline {
            return None;
        }
        let folder = root.join(pid.to_string());
        let holds = fs::read_dir(folder.join("fd")).is_ok_and(|descriptors| {
            descriptors
                .inspect(|_| links += 1)
                .take_while(|_| spent() < deadline)
                .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
                .any(|to| to.as_os_str() == wanted.as_str())
        });
        if holds {
            return Some(pid);
        }
        let Ok(threads) = fs::read_dir(folder.join("task")) else { continue };
        for thread in threads.flatten().take_while(|_| spent() < deadline) {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            waiting.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    None
}

/// The pid inside of a process of the sandbox's, by its pid on the host. `None`: it is gone, or is not in the sandbox.
#[must_use]
pub fn pid_inside(pid: i32, init: i32) -> Option<i32> {
    is_inside(pid, init).then(|| process(pid)).flatten().map(|process| process.pid)
}

/// Whether a process, by its pid on the host, is in the sandbox whose first process is `init`: whose pid namespace it is in, an
/// ordinary user may not see, but every process there is a descendant of its first one (pid_namespaces(7)), and no other is. One
/// that is gone is not.
#[must_use]
pub fn is_inside(pid: i32, init: i32) -> bool {
    let mut at = pid;
    for _ in 0..PROCESSES {
        if at == init {
            return true;
        }
        let Ok(status) = fs::read_to_string(format!("/proc/{at}/status")) else { return false };
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok());
        match parent {
            Some(parent) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    false
}

/// A process, by its pid on the host.
#[must_use]
pub fn process(pid: i32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let pid = field("NSpid:")?.split_whitespace().next_back()?.parse().ok()?;
    Some(Process { pid, name: field("Name:")?.trim().to_owned() })
}

/// The inode of the socket whose own address this is, in a table of `/proc/net`.
fn inode_of(table: &str, own: SocketAddr) -> Option<u64> {
    let mut wildcard = None;
    for line in table.lines().skip(1) {
        let mut fields = line.split_whitespace().skip(1);
        let (local, inode) = (fields.next()?, fields.nth(7)?);
        let (address, port) = local.split_once(':')?;
        if u16::from_str_radix(port, 16).ok()? != own.port() {
            continue;
        }
        // 0: nobody's any more.
        let Some(inode) = inode.parse().ok().filter(|inode| *inode != 0) else { continue };
        let address = address_of(address)?.to_canonical();
        if address == own.ip().to_canonical() {
            return Some(inode);
        }
        // A datagram socket that is not connected has no address of its own.
        if address.is_unspecified() {
            wildcard = Some(inode);
        }
    }
    wildcard
}

/// The kernel prints each word of an address as a number in its own byte order.
fn address_of(text: &str) -> Option<IpAddr> {
    let words = (0..text.len() / 8)
        .map(|n| u32::from_str_radix(text.get(8 * n..8 * n + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<Vec<_>>>()?;
    let bytes = words.concat();
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use agentrc_test_support::outcome::within;

    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = Client { tcp: false, address: socket.local_addr().unwrap() };
        let own = i32::try_from(std::process::id()).unwrap();
        let found = process_of(&client, own).unwrap();
        assert_eq!(found.pid, own);
        drop(socket);
        // What another test starts holds it too, until it executes.
        assert!(within(Duration::from_secs(20), || process_of(&client, own).is_none()));
    }

    #[test]
    fn a_process_is_inside_below_its_first_one() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let below = i32::try_from(child.id()).unwrap();
        assert!(is_inside(below, own) && is_inside(own, own));
        assert!(!is_inside(own, below) && !is_inside(1, own));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_inside(below, own));
    }

    #[test]
    fn a_socket_is_told_by_its_own_address() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41 1 0 100 0 0 10 0\n   1: 1000120C6:1F91 0 0\n";
        assert_eq!(inode_of(table, "127.0.0.1:8080".parse().unwrap()), Some(41));
        assert_eq!(inode_of(table, "127.0.0.2:8080".parse().unwrap()), None);
        let any = "head\n   0: 00000000:1F90 00000000:0000 07 0:0 0:0 0 1000 0 77 2\n";
        assert_eq!(inode_of(any, "198.18.0.1:8080".parse().unwrap()), Some(77));
        assert_eq!(address_of("0000000000000000FFFF00000100007F"), "::ffff:127.0.0.1".parse().ok());
    }
}
