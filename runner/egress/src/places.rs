//! How many connections are open: the agent's, and those to servers that its requests are sent over. One limit holds both, so
//! that no multiplexing of requests opens more than it says.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Up to so many open connections, each of those that requests go over may take much memory, and beyond it little: sixteen of
/// the agent's with a server each, which is what a package manager opens at a time (npm: 15).
const AMPLE: usize = 32;

/// The places of all connections.
#[derive(Debug)]
pub(crate) struct Places {
    // hyper wants what may go on as a WebSocket to be `Send`; there is one thread, and nothing is ordered by it.
    open: Arc<AtomicUsize>,
    most: usize,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// How many there are.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Why there is no place.
    pub(crate) fn all_taken(&self) -> String {
        format!("{} connections are open already", self.most)
    }

    /// A place for one more connection, if there is one.
    pub(crate) fn take(&self) -> Option<Open> {
        (self.open() < self.most).then(|| self.again())
    }

    /// Counts once more a connection that is counted already, and goes on elsewhere.
    pub(crate) fn again(&self) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.open))
    }

    /// Whether a connection may take much memory.
    pub(crate) fn are_ample(&self) -> bool {
        self.open() <= AMPLE
    }

    /// Whether no connection may keep a place that it does not use: the second half is for those that do.
    pub(crate) fn are_scarce(&self) -> bool {
        self.open() > self.most / 2
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that is counted until it is closed, whoever holds it: the task of its connection, or what that became.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    _open: Open,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S, open: Open) -> Self {
        Self { stream, _open: open }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_until_the_stream_is_gone() {
        let places = Places::new(2);
        let stream = Counted::new(tokio::io::empty(), places.take().unwrap());
        let other = places.take().unwrap();
        assert!(places.take().is_none() && places.are_scarce());
        drop(other);
        assert!(places.take().is_some() && !places.are_scarce());
        let both = (stream, places.again());
        assert!(places.take().is_none());
        drop(both);
        assert_eq!(places.open(), 0);
    }

    #[test]
    fn memory_is_ample_for_few() {
        let places = Places::new(1024);
        let mut held: Vec<_> = (0..AMPLE).map(|_| places.take().unwrap()).collect();
        assert!(places.are_ample());
        held.push(places.take().unwrap());
        assert!(!places.are_ample());
    }
}
