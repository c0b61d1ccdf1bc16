//! Bytes between two connections, moved by the kernel: splice(2) from one socket into a pipe and from there into the other,
//! so that they are never copied into this process. Each direction ends by itself (half-close), and takes no more than the
//! other side is ready for.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::limits::{Limit, Limits};

/// Bytes that are moved at a time: the default size of a pipe (pipe(7)).
const CHUNK: usize = 64 * 1024;
/// Pipes that are kept for the next connection.
const SPARE: usize = 64;
/// How long a connection may be silent in both directions.
pub(crate) const IDLE: Duration = Duration::from_secs(3600);

/// Why a connection was ended from here.
#[derive(Debug)]
pub(crate) enum Ended<'a> {
    /// Both sides were done, or one broke off.
    Closed,
    /// A limit on bytes is used up.
    Limit(&'a Limit),
    /// Nothing was said for too long.
    Idle,
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// Pipes that were left empty.
#[derive(Default)]
pub(crate) struct Pipes(RefCell<Vec<Pipe>>);

impl Pipes {
    fn get(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.0.borrow_mut().pop() {
            return Ok(pipe);
        }
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Pipe { read, write })
    }

    fn put_back(&self, pipe: Pipe) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < SPARE {
            spare.push(pipe);
        }
    }
}

/// What `pump` needs besides the two connections.
pub(crate) struct Means<'a> {
    pub(crate) pipes: &'a Pipes,
    pub(crate) limits: &'a Limits,
}

/// Moves bytes both ways until both are done. What goes out is counted.
pub(crate) async fn pump<'a>(agent: &TcpStream, world: &TcpStream, means: &Means<'a>) -> Ended<'a> {
    let last = Cell::new(Instant::now());
    let limits = means.limits.counts_bytes().then_some(means.limits);
    let both = async {
        let (out, back) = tokio::join!(
            one_way(agent, world, means.pipes, limits, &last),
            one_way(world, agent, means.pipes, None, &last)
        );
        out.and(back)
    };
    let mut both = std::pin::pin!(both);
    loop {
        match tokio::time::timeout(IDLE, &mut both).await {
            Ok(Ok(())) => return Ended::Closed,
            Ok(Err(Broken::Limit(limit))) => return Ended::Limit(limit),
            Ok(Err(Broken::Io)) => return Ended::Closed,
            Err(_) if last.get().elapsed() >= IDLE => return Ended::Idle,
            Err(_) => {}
        }
    }
}

enum Broken<'a> {
    Io,
    Limit(&'a Limit),
}

impl From<io::Error> for Broken<'_> {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

async fn one_way<'a>(
    from: &TcpStream,
    to: &TcpStream,
    pipes: &Pipes,
    limits: Option<&'a Limits>,
    last: &Cell<Instant>,
) -> Result<(), Broken<'a>> {
    let pipe = pipes.get()?;
    let result = moved(from, to, &pipe, limits, last).await;
    match result {
        Ok(()) => pipes.put_back(pipe),
        // What may still be in it belongs to nobody: it goes. And the other direction has no end to wait for.
        Err(_) => {
            let _ = rustix::net::shutdown(from.as_fd(), rustix::net::Shutdown::Both);
            let _ = rustix::net::shutdown(to.as_fd(), rustix::net::Shutdown::Both);
        }
    }
    result
}

async fn moved<'a>(
    from: &TcpStream,
    to: &TcpStream,
    pipe: &Pipe,
    limits: Option<&'a Limits>,
    last: &Cell<Instant>,
) -> Result<(), Broken<'a>> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        let arrived = from
            .async_io(Interest::READABLE, || {
                Ok(rustix::pipe::splice(from, None, &pipe.write, None, CHUNK, flags)?)
            })
            .await?;
        if arrived == 0 {
            // The peer may be gone already, which is an end as well.
            let _ = rustix::net::shutdown(to.as_fd(), rustix::net::Shutdown::Write);
            return Ok(());
        }
        last.set(Instant::now());
        let mut left = arrived;
        while left > 0 {
            let mut granted = granted(limits, left).await.map_err(Broken::Limit)?;
            left -= granted;
            while granted > 0 {
                granted -= to
                    .async_io(Interest::WRITABLE, || {
                        Ok(rustix::pipe::splice(&pipe.read, None, to, None, granted, flags)?)
                    })
                    .await?;
            }
        }
    }
}

/// Waits until some of `wanted` bytes may be sent.
pub(crate) async fn granted(limits: Option<&Limits>, wanted: usize) -> Result<usize, &Limit> {
    let Some(limits) = limits else { return Ok(wanted) };
    loop {
        match limits.bytes(wanted as u64, Instant::now()) {
            Ok(some) => return Ok(usize::try_from(some).unwrap_or(wanted).min(wanted)),
            Err((Some(wait), _)) => tokio::time::sleep(wait.max(Duration::from_millis(1))).await,
            Err((None, limit)) => return Err(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::Shutdown;

    use agentfile::plan::{CountedLimit, Origin};

    use super::*;

    /// A connected pair: one end for the test, one for the pump.
    fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let one = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    /// Runs the pump between two pairs in a thread; how it ended.
    fn pumped(limits: Limits, test: impl FnOnce(std::net::TcpStream, std::net::TcpStream)) -> String {
        let ((agent, agent_end), (world, world_end)) = (pair(), pair());
        let pump = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let stream = |one: std::net::TcpStream| {
                    one.set_nonblocking(true).unwrap();
                    TcpStream::from_std(one).unwrap()
                };
                let pipes = Pipes::default();
                let means = Means { pipes: &pipes, limits: &limits };
                match pump(&stream(agent_end), &stream(world_end), &means).await {
                    Ended::Limit(limit) => limit.name().to_owned(),
                    Ended::Closed => format!("closed, {} spare", pipes.0.borrow().len()),
                    Ended::Idle => "idle".to_owned(),
                }
            })
        });
        test(agent, world);
        pump.join().unwrap()
    }

    #[test]
    fn both_directions_end_by_themselves_and_nothing_is_lost() {
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let ended = pumped(Limits::default(), |mut agent, mut world| {
            let upload = sent.clone();
            let uploaded = std::thread::spawn(move || {
                agent.write_all(&upload).unwrap();
                agent.shutdown(Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                agent.read_to_end(&mut answer).unwrap();
                answer
            });
            let mut arrived = Vec::new();
            world.read_to_end(&mut arrived).unwrap();
            assert!(arrived == sent);
            // The agent has closed its half: the answer still gets through.
            world.write_all(&sent).unwrap();
            drop(world);
            assert!(uploaded.join().unwrap() == sent);
        });
        assert_eq!(ended, "closed, 2 spare");
    }

    #[test]
    fn a_side_that_does_not_read_is_waited_for_and_a_reset_ends_both() {
        let ended = pumped(Limits::default(), |mut agent, world| {
            agent.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            let chunk = vec![7; 1 << 20];
            let mut written = 0_u64;
            while let Ok(some) = agent.write(&chunk) {
                written += some as u64;
                assert!(written < 64 << 20, "somebody buffers without end");
            }
            // Unread data makes the close a reset.
            drop(world);
            let mut rest = Vec::new();
            let _ = agent.read_to_end(&mut rest);
        });
        assert!(ended.starts_with("closed"), "{ended}");
    }

    #[test]
    fn no_byte_more_than_the_limit_goes_out_and_what_comes_in_is_not_counted() {
        let limit = CountedLimit {
            name: "egress_bytes".to_owned(),
            value: 1000,
            per_seconds: None,
            origin: Origin::builtin("t"),
        };
        let ended = pumped(Limits::new(&[limit], |_| false, Instant::now()), |mut agent, mut world| {
            world.write_all(&[1; 5000]).unwrap();
            agent.read_exact(&mut [0; 5000]).unwrap();
            agent.write_all(&[2; 600]).unwrap();
            world.read_exact(&mut [0; 600]).unwrap();
            let _ = agent.write_all(&[3; 600]);
            let mut rest = Vec::new();
            let _ = world.read_to_end(&mut rest);
            assert!(rest.len() <= 400, "{}", rest.len());
        });
        assert_eq!(ended, "egress_bytes");
    }
}
