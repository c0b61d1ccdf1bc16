//! Servers outside the sandbox that write down who reached them.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A server that counts what reaches it. Its thread ends with the test.
pub struct Listener {
    reached: Arc<AtomicUsize>,
    /// Port, for those that have one.
    pub port: u16,
}

impl Listener {
    /// How often it was reached. Waits a little, so that what is on its way is counted.
    pub fn reached(&self) -> usize {
        std::thread::sleep(Duration::from_millis(10));
        self.reached.load(Ordering::SeqCst)
    }

    fn counting(port: u16, mut once: impl FnMut() -> bool + Send + 'static) -> Self {
        let reached = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reached);
        std::thread::spawn(move || {
            while once() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { reached, port }
    }

    /// On a path, open to everyone.
    pub fn unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("bind a unix socket");
        open_to_all(path);
        Self::counting(0, move || listener.accept().is_ok())
    }

    /// Datagrams on a path, open to everyone.
    pub fn unix_datagram(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("bind a unix socket");
        open_to_all(path);
        Self::counting(0, move || socket.recv(&mut [0; 64]).is_ok())
    }

    /// On an abstract name.
    pub fn abstract_name(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).expect("an abstract name");
        let listener = UnixListener::bind_addr(&address).expect("bind an abstract socket");
        Self::counting(0, move || listener.accept().is_ok())
    }

    /// On a free TCP port of this address.
    pub fn tcp(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("bind TCP");
        let port = listener.local_addr().expect("address").port();
        Self::counting(port, move || {
            listener.accept().is_ok_and(|(mut peer, _)| {
                // Whether or not it says something: a connection is a connection.
                let _ = peer.set_read_timeout(Some(Duration::from_millis(50)));
                let _ = peer.read(&mut [0; 16]);
                true
            })
        })
    }

    /// On a free UDP port of this address.
    pub fn udp(address: &str) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("bind UDP");
        let port = socket.local_addr().expect("address").port();
        Self::counting(port, move || socket.recv_from(&mut [0; 64]).is_ok())
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("chmod");
}
