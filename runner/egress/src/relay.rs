//! Bytes of what was a request and went on as a WebSocket, copied, since both ends are within a protocol of ours. What goes
//! out is counted, and searched for placeholders; what comes back, for values.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::credential::{Redactor, Scanner};
use crate::gateway::Gateway;
use crate::pump::{IDLE, granted};
use crate::report::Client;
use crate::unmask::Unmask;

const CHUNK: usize = 16 * 1024;

/// One connection that goes on.
pub(crate) struct Relay<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) client: Client,
    pub(crate) scanner: Option<Scanner>,
    pub(crate) redactor: Option<Redactor>,
}

impl Relay<'_> {
    /// Copies both ways until both are done, one breaks off, or something must not pass.
    pub(crate) async fn run(self, agent: impl AsyncRead + AsyncWrite, world: impl AsyncRead + AsyncWrite) {
        let Self { gateway, client, scanner, redactor } = self;
        let (mut from_agent, mut to_agent) = tokio::io::split(agent);
        let (mut from_world, mut to_world) = tokio::io::split(world);
        let out = send(&mut from_agent, &mut to_world, gateway, client, scanner);
        let back = receive(&mut from_world, &mut to_agent, redactor);
        // One that fails ends both.
        let _ = tokio::try_join!(out, back);
    }
}

async fn send(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    gateway: &Gateway,
    client: Client,
    mut scanner: Option<Scanner>,
) -> Result<(), ()> {
    const ACT: &str = "send over a WebSocket";
    let limits = gateway.limits.counts_bytes().then_some(&gateway.limits);
    let mut unmask = Unmask::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = within(IDLE, from.read(&mut buffer)).await?;
        if read == 0 {
            return to.shutdown().await.map_err(drop);
        }
        let mut rest = buffer.get(..read).unwrap_or_default();
        if let Some(scanner) = &mut scanner {
            let reason = match unmask.push(rest).map(|clear| scanner.push(&clear)) {
                Some(Ok(())) => None,
                Some(Err(refusal)) => Some(refusal.to_string()),
                None => Some("it is no WebSocket that a client speaks".to_owned()),
            };
            if let Some(reason) = reason {
                gateway.reporter.denied(ACT, "closed", &reason, "", client).await;
                return Err(());
            }
        }
        while !rest.is_empty() {
            let some = match granted(limits, rest.len()).await {
                Ok(some) => some,
                Err(limit) => {
                    gateway.reporter.limited(limit, ACT, client).await;
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

async fn receive(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut redactor: Option<Redactor>,
) -> Result<(), ()> {
    let mut buffer = vec![0; CHUNK];
    let mut clean = Vec::new();
    loop {
        let read = within(IDLE, from.read(&mut buffer)).await?;
        let bytes = buffer.get(..read).unwrap_or_default();
        let passed = match &mut redactor {
            Some(redactor) => {
                clean.clear();
                if read == 0 {
                    redactor.finish(&mut clean)
                } else {
                    redactor.push(bytes, &mut clean)
                }
                clean.as_slice()
            }
            None => bytes,
        };
        to.write_all(passed).await.map_err(drop)?;
        to.flush().await.map_err(drop)?;
        if read == 0 {
            return to.shutdown().await.map_err(drop);
        }
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = std::io::Result<T>>) -> Result<T, ()> {
    tokio::time::timeout(time, work).await.map_err(drop)?.map_err(drop)
}
