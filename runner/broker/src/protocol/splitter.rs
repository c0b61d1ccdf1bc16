//! Bytes as lines, however they come in.

/// What was read, and not taken as lines yet.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// To be read into.
    pub(crate) read: Vec<u8>,
    /// Bytes of it that were given out.
    given: usize,
    /// Bytes of it up to which there is no line's end that was not given out.
    looked: usize,
}

impl Splitter {
    /// The next whole line, without its end.
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        let rest = self.read.get(self.looked..).unwrap_or_default();
        if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let end = self.looked + at;
            let line = self.read.get(self.given..end).unwrap_or_default().to_vec();
            (self.given, self.looked) = (end + 1, end + 1);
            return Some(line);
        }
        // Only now, so that many short lines do not move the rest as often.
        self.read.drain(..self.given);
        (self.given, self.looked) = (0, self.read.len());
        None
    }

    /// Bytes of a line that has no end yet.
    pub(crate) fn begun(&self) -> usize {
        self.read.len() - self.given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_in_order() {
        let mut splitter = Splitter::default();
        splitter.read.extend_from_slice(b"one\n\ntw");
        assert_eq!((splitter.line(), splitter.line()), (Some(b"one".to_vec()), Some(Vec::new())));
        assert_eq!((splitter.line(), splitter.begun()), (None, 2));
        splitter.read.extend_from_slice(b"o\nthree");
        assert_eq!((splitter.line(), splitter.line(), splitter.begun()), (Some(b"two".to_vec()), None, 5));
    }

    #[test]
    fn lines_are_what_they_are_however_they_were_read() {
        let text = b"a\n\nlonger line\n\n\n\nlast\nrest";
        let wanted: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        for size in 1..=text.len() {
            let mut splitter = Splitter::default();
            let mut lines = Vec::new();
            for part in text.chunks(size) {
                splitter.read.extend_from_slice(part);
                lines.extend(std::iter::from_fn(|| splitter.line()));
            }
            assert_eq!(splitter.begun(), 4);
            lines.push(splitter.read.clone());
            assert_eq!(lines, wanted, "in parts of {size} bytes");
        }
    }
}
