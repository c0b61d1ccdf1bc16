//! Bytes as lines, however they come in.

/// What was read, and not taken as lines yet.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// To be read into.
    pub(crate) read: Vec<u8>,
    /// Bytes of it that have no line's end in them.
    looked: usize,
}

impl Splitter {
    /// The next whole line, without its end.
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        let rest = self.read.get(self.looked..).unwrap_or_default();
        let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
            self.looked = self.read.len();
            return None;
        };
        let end = self.looked + at;
        let after = self.read.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.read, after);
        line.truncate(end);
        self.looked = 0;
        Some(line)
    }

    /// Bytes of a line that has no end yet.
    pub(crate) fn begun(&self) -> usize {
        self.looked
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
}
