//! Bytes between two connections. A few are copied through one buffer that all connections share: two system calls, and an
//! idle connection holds nothing. Many are moved by the kernel: splice(2) from one socket into a pipe and from there into the
//! other. Each direction ends by itself (half-close), and takes no more than the other side is ready for.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use agentrc_service::limit::Limit;
use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::{AsyncRead, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::eager::{Eager, Side};
use crate::limits::Limits;

/// The shared buffer. What fills it is the beginning of more, and the kernel goes on with it.
const SMALL: usize = 64 * 1024;
/// Fewer than these at a time are copied again.
const FEW: usize = 16 * 1024;
/// Most bytes that are moved at a time, and the size of the pipes: what an ordinary user may have (pipe(7)).
const LARGE: usize = 1024 * 1024;
/// Pipes that are kept for the next connection.
const SPARE: usize = 16;
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

/// What all connections share: a buffer, and pipes that were left empty.
pub(crate) struct Shared {
    buffer: RefCell<Box<[u8]>>,
    pipes: RefCell<Vec<Pipe>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { buffer: RefCell::new(vec![0; SMALL].into_boxed_slice()), pipes: RefCell::default() }
    }
}

impl Shared {
    fn pipe(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.pipes.borrow_mut().pop() {
            return Ok(pipe);
        }
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user has so many pages for large pipes; one of the usual size is slower, and as good.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, LARGE);
        Ok(Pipe { read, write })
    }

    fn put_back(&self, pipe: Pipe) {
        let mut spare = self.pipes.borrow_mut();
        if spare.len() < SPARE {
            spare.push(pipe);
        }
    }
}

/// What `pump` needs besides the two connections.
pub(crate) struct Means<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) eager: &'a Eager,
    pub(crate) limits: &'a Limits,
}

/// Moves bytes both ways until both are done. What goes out is counted.
pub(crate) async fn pump<'a>(agent: &mut TcpStream, world: &mut TcpStream, means: &Means<'a>) -> Ended<'a> {
    let last = Cell::new(Instant::now());
    let limits = means.limits.counts_bytes().then_some(means.limits);
    let ((from_agent, to_agent), (from_world, to_world)) = (agent.split(), world.split());
    let out = Way { side: Side::Agent, from: from_agent, to: to_world, means, limits, last: &last };
    let back = Way { side: Side::World, from: from_world, to: to_agent, means, limits: None, last: &last };
    let both = async {
        // Where one breaks off, the other has no end to wait for. Both sides see the end when the caller closes them: what is to be on
        // record then is.
        tokio::try_join!(out.run(), back.run()).map(drop)
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

/// One direction.
struct Way<'a, 'b> {
    /// Whose bytes they are.
    side: Side,
    from: ReadHalf<'b>,
    to: WriteHalf<'b>,
    means: &'b Means<'a>,
    limits: Option<&'a Limits>,
    last: &'b Cell<Instant>,
}

/// What one read of the shared buffer gave.
struct Copied {
    arrived: usize,
    /// What could not be sent on at once, or has to be counted first.
    rest: Vec<u8>,
}

impl<'a> Way<'a, '_> {
    async fn run(mut self) -> Result<(), Broken<'a>> {
        loop {
            let Copied { arrived, rest } = poll_fn(|context| self.copy(context)).await?;
            if arrived == 0 {
                break;
            }
            self.last.set(Instant::now());
            self.means.eager.moved(self.side);
            let mut rest = rest.as_slice();
            while !rest.is_empty() {
                let granted = granted(self.limits, rest.len()).await.map_err(Broken::Limit)?;
                let (now, later) = rest.split_at_checked(granted).unwrap_or((rest, &[]));
                self.to.write_all(now).await?;
                rest = later;
            }
            if arrived == SMALL && self.many().await? {
                break;
            }
        }
        // The peer may be gone already, which is an end as well.
        let to: &TcpStream = self.to.as_ref();
        let _ = rustix::net::shutdown(to.as_fd(), rustix::net::Shutdown::Write);
        Ok(())
    }

    /// Reads what there is, and sends it on at once if the other side is ready. The buffer is borrowed for that long only.
    fn copy(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Copied>> {
        let mut buffer = self.means.shared.buffer.borrow_mut();
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.from).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        let sent = match self.limits {
            // The end of a direction, too, has nothing to send.
            _ if read.is_empty() => 0,
            Some(_) => 0,
            None => match self.to.try_write(read) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                sent => sent?,
            },
        };
        let rest = read.get(sent..).unwrap_or_default().to_vec();
        Poll::Ready(Ok(Copied { arrived: read.len(), rest }))
    }

    /// Lets the kernel move the bytes, as long as there are many. Whether that was the end.
    async fn many(&mut self) -> Result<bool, Broken<'a>> {
        // Without a pipe (too many descriptors are open) they are copied.
        let Ok(pipe) = self.means.shared.pipe() else { return Ok(false) };
        // On an error, what may still be in the pipe belongs to nobody: it goes.
        let ended = self.spliced(&pipe).await?;
        self.means.shared.put_back(pipe);
        Ok(ended)
    }

    async fn spliced(&mut self, pipe: &Pipe) -> Result<bool, Broken<'a>> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let (from, to): (&TcpStream, &TcpStream) = (self.from.as_ref(), self.to.as_ref());
        loop {
            let arrived = from
                .async_io(Interest::READABLE, || {
                    Ok(rustix::pipe::splice(from, None, &pipe.write, None, LARGE, flags)?)
                })
                .await?;
            self.last.set(Instant::now());
            let mut left = arrived;
            while left > 0 {
                let mut granted = granted(self.limits, left).await.map_err(Broken::Limit)?;
                left -= granted;
                while granted > 0 {
                    granted -= to
                        .async_io(Interest::WRITABLE, || {
                            Ok(rustix::pipe::splice(&pipe.read, None, to, None, granted, flags)?)
                        })
                        .await?;
                }
            }
            if arrived < FEW {
                return Ok(arrived == 0);
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

    use agentfile::plan::{CountedLimit, Origin, Target};

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
                let shared = Shared::default();
                let eager = Eager::default();
                let means = Means { shared: &shared, eager: &eager, limits: &limits };
                match pump(&mut stream(agent_end), &mut stream(world_end), &means).await {
                    Ended::Limit(limit) => limit.name().to_owned(),
                    Ended::Closed => format!("closed, {} spare", shared.pipes.borrow().len()),
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
        assert_eq!(ended, "closed, 1 spare");
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
            applies_to: vec![Target::Run],
            origin: Origin::builtin("t"),
        };
        let ended = pumped(Limits::new(&[limit], Instant::now()), |mut agent, mut world| {
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
