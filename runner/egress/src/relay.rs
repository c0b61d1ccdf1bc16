//! Bytes of what was a request and went on as a WebSocket, copied, since both ends are within a protocol of ours.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::gateway::Gateway;
use crate::limits::Limits;
use crate::pump::{IDLE, granted};
use crate::report::Client;

const CHUNK: usize = 16 * 1024;

/// Copies both ways until both are done, one breaks off, or a limit on bytes is used up.
pub(crate) async fn relay(
    gateway: &Gateway,
    client: Client,
    agent: impl AsyncRead + AsyncWrite,
    world: impl AsyncRead + AsyncWrite,
) {
    let (mut from_agent, mut to_agent) = tokio::io::split(agent);
    let (mut from_world, mut to_world) = tokio::io::split(world);
    let limits = gateway.limits.counts_bytes().then_some(&gateway.limits);
    let out = copy(&mut from_agent, &mut to_world, limits, (gateway, client));
    let back = copy(&mut from_world, &mut to_agent, None, (gateway, client));
    // One that fails ends both.
    let _ = tokio::try_join!(out, back);
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    limits: Option<&Limits>,
    (gateway, client): (&Gateway, Client),
) -> Result<(), ()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = within(IDLE, from.read(&mut buffer)).await?;
        if read == 0 {
            return to.shutdown().await.map_err(drop);
        }
        let mut rest = buffer.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            let some = match granted(limits, rest.len()).await {
                Ok(some) => some,
                Err(limit) => {
                    gateway.reporter.limited(limit, "send over a WebSocket", client).await;
                    return Err(());
                }
            };
            let (now, later) = rest.split_at(some.min(rest.len()));
            to.write_all(now).await.map_err(drop)?;
            rest = later;
        }
        to.flush().await.map_err(drop)?;
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = std::io::Result<T>>) -> Result<T, ()> {
    tokio::time::timeout(time, work).await.map_err(drop)?.map_err(drop)
}
