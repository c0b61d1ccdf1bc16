//! Reading a log for people (`audit show`, `why`, `runs`). This does not verify; [`crate::verify`] does.

use std::fs::File;
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom};

use crate::bound;
use crate::event::Event;
use crate::line::{Body, Line};

/// One raw line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// A line with its newline, in the caller's buffer.
    Whole,
    /// Bytes after the last newline.
    Torn,
    /// More than the limit without a newline.
    TooLong,
    /// Nothing is left.
    End,
}

/// Reads up to and with the next newline into `buffer`, at most `limit` bytes.
pub(crate) fn next_raw(reader: &mut impl BufRead, buffer: &mut Vec<u8>, limit: usize) -> io::Result<Raw> {
    buffer.clear();
    reader.by_ref().take(limit as u64).read_until(b'\n', buffer)?;
    Ok(match buffer.last() {
        None => Raw::End,
        Some(b'\n') => Raw::Whole,
        Some(_) if buffer.len() == limit => Raw::TooLong,
        Some(_) => Raw::Torn,
    })
}

/// A line that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Reading failed.
    #[error("cannot read the log: {0}")]
    Io(#[from] io::Error),
    /// It is no line of a log.
    #[error(
        "line {line} of the log cannot be read: {why}\n  help: `agentrc audit verify` says what is wrong with it"
    )]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// The lines of a log, one after another. After a line that is too long, or has no end, there are no more.
pub struct Lines<R> {
    reader: R,
    number: u64,
    buffer: Vec<u8>,
    over: bool,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, number: 0, buffer: Vec::new(), over: false }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        self.number += 1;
        let line = self.number;
        let why = match next_raw(&mut self.reader, &mut self.buffer, bound::LINE) {
            Ok(Raw::Whole) => {
                let parsed = serde_json::from_slice(&self.buffer);
                return Some(parsed.map_err(|error| ReadError::Line { line, why: error.to_string() }));
            }
            Ok(Raw::End) => None,
            Ok(Raw::Torn) => Some(Ok("it has no end")),
            Ok(Raw::TooLong) => Some(Ok("it is too long")),
            Err(error) => Some(Err(error)),
        };
        self.over = true;
        why.map(
            |why| Err(why.map_or_else(ReadError::Io, |why| ReadError::Line { line, why: why.to_owned() })),
        )
    }
}

/// The last event of a log, without reading the rest: how a run ended. `None` when there is none, or when the log is
/// damaged at its end.
///
/// # Errors
/// Reading failed.
pub fn last_event(file: &mut File) -> io::Result<Option<Event>> {
    const TAIL: u64 = 128 * 1024;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let lines = tail.split_inclusive(|byte| *byte == b'\n').rev();
    // At the end there are at most a torn line and a checkpoint after the last event.
    for line in lines.take(3) {
        if let Ok(Line { body: Body::Event(event), .. }) = serde_json::from_slice(line) {
            return Ok(Some(event));
        }
    }
    Ok(None)
}
