//! The resolver's sockets: one answer to each datagram, and streams of questions for clients that prefer those (RFC 7766).

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::dns::{Asked, LONGEST, answer};
use crate::gateway::Gateway;
use crate::reason::UNDECLARED_HOST;
use crate::report::Client;

/// How long a stream may be silent.
const IDLE: Duration = Duration::from_secs(30);

/// Serves the datagram socket for ever.
pub(crate) async fn serve_datagrams(gateway: Rc<Gateway>, socket: UdpSocket) {
    let mut query = vec![0; LONGEST + 1];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut query).await else {
            // An error of one client's, such as a port that is closed by now.
            continue;
        };
        let client = Client { tcp: false, address: from };
        if let Some(reply) = reply(&gateway, query.get(..length).unwrap_or_default(), client).await {
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

/// Serves one stream to its end.
pub(crate) async fn serve_stream(gateway: &Gateway, mut stream: TcpStream, client: Client) {
    let served = async {
        loop {
            let length = usize::from(tokio::time::timeout(IDLE, stream.read_u16()).await.ok()?.ok()?);
            if length > LONGEST {
                return None;
            }
            let mut query = vec![0; length];
            tokio::time::timeout(IDLE, stream.read_exact(&mut query)).await.ok()?.ok()?;
            let reply = reply(gateway, &query, client).await?;
            let mut framed = u16::try_from(reply.len()).ok()?.to_be_bytes().to_vec();
            framed.extend(reply);
            tokio::time::timeout(IDLE, stream.write_all(&framed)).await.ok()?.ok()?;
        }
    };
    let _: Option<()> = served.await;
}

async fn reply(gateway: &Gateway, query: &[u8], client: Client) -> Option<Vec<u8>> {
    let answered = answer(query, &mut gateway.names.borrow_mut());
    let Some((reply, asked)) = answered else {
        let act = "send the resolver what is no query";
        gateway.reporter.denied(act, "dropped", "it is malformed", "", client).await;
        return None;
    };
    let (name, reason) = match asked {
        Asked::Answered(_) | Asked::NotServed => return Some(reply),
        Asked::Denied(name) => (name, UNDECLARED_HOST),
        Asked::TooMany(name) => (name, "too many different names below the wildcard were asked for"),
    };
    gateway.reporter.denied(&format!("resolve {name}"), "NXDOMAIN", reason, "", client).await;
    Some(reply)
}
