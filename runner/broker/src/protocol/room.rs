//! What all connections to the broker together may take of its memory, and how long a message may be.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest message of the agent's, in bytes: a megabyte of content in base64, and what is around it.
pub(super) const LONGEST: usize = 2 * 1024 * 1024;
/// Up to so many bytes of a message that has no end yet are nobody else's business.
pub(super) const SMALL: usize = 64 * 1024;
/// A message of at most so many bytes takes no room of its own: what cancels a request is heard also when there is none.
pub(super) const TINY: usize = 4 * 1024;

/// What all connections together may hold: no limit of the agent's counts the broker's memory.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// Requests that were read, and whose answers are not written yet.
    requests: Arc<Semaphore>,
    /// Their bytes, and those of long lines that are being read. As values they take up to thirty times as much.
    bytes: Arc<Semaphore>,
}

impl Room {
    const REQUESTS: usize = 32;
    const BYTES: usize = 2 * LONGEST;

    pub(crate) fn new() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(Self::REQUESTS)),
            bytes: Arc::new(Semaphore::new(Self::BYTES)),
        }
    }

    /// One more request, waited for.
    pub(super) async fn request(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.requests).acquire_owned().await.ok()
    }

    /// So many bytes, waited for.
    pub(super) async fn bytes(&self, number: usize) -> Option<OwnedSemaphorePermit> {
        let number = u32::try_from(number.clamp(1, LONGEST + 1)).ok()?;
        Arc::clone(&self.bytes).acquire_many_owned(number).await.ok()
    }
}
