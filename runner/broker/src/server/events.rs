//! A stream of events (`text/event-stream`) as the messages in it, however its bytes come in. Every event is bounded.

/// Longest event, in bytes, and with it the longest line.
pub(super) const LONGEST: usize = 2 * 1024 * 1024;

/// What came of a stream.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The event has a type, and it is none of a message.
    is_other: bool,
    /// The last byte was a carriage return: a line feed after it belongs to it.
    returned: bool,
    /// The first line, which may begin with a byte order mark, is over.
    begun: bool,
}

impl Events {
    /// The messages that end in `bytes`; what is left waits for more. An event without its empty line is none.
    ///
    /// # Errors
    /// One is longer than 2 MiB.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let mut messages = Vec::new();
        for byte in bytes {
            let follows = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if follows => {}
                b'\n' | b'\r' => messages.extend(self.line()),
                _ => self.line.push(*byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > LONGEST {
                return Err(format!("an event of its answer has more than {LONGEST} bytes"));
            }
        }
        Ok(messages)
    }

    /// A line is whole. The message that it ends, if it does.
    fn line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if !self.begun => rest,
            _ => &line,
        };
        self.begun = true;
        if line.is_empty() {
            let (data, is_other) = (self.data.take(), std::mem::take(&mut self.is_other));
            return data.filter(|_| !is_other);
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let field = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            },
            b"event" => self.is_other = !matches!(value, b"" | b"message"),
            // Comments, and what only a stream that is taken up again needs.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(stream: &[u8], step: usize) -> Vec<String> {
        let mut events = Events::default();
        let taken = stream.chunks(step).flat_map(|bytes| events.take(bytes).unwrap());
        taken.map(|message| String::from_utf8(message).unwrap()).collect()
    }

    #[test]
    fn messages_are_whole_however_they_come() {
        let stream = "\u{feff}: hello\nid: 7\nevent: message\ndata: {\"a\":\ndata:1}\n\nevent: ping\ndata: x\n\n\
                      data:  y\r\n\r\nretry: 5\rdata\r\revent: message\n\ndata: lost";
        for step in 1..stream.len() {
            assert_eq!(taken(stream.as_bytes(), step), ["{\"a\":\n1}", " y", ""], "{step}");
        }
    }

    #[test]
    fn no_event_is_longer_than_it_may_be() {
        let mut events = Events::default();
        assert!(events.take(&vec![b'a'; LONGEST + 1]).is_err());
        let mut events = Events::default();
        let line = [b"data: ".as_slice(), &[b'a'; 1024], b"\n"].concat();
        assert!((0..=LONGEST / 1024).any(|_| events.take(&line).is_err()));
        let mut events = Events::default();
        let whole = [line.as_slice(), b"\n"].concat();
        assert!((0..=LONGEST / 1024).all(|_| events.take(&whole).is_ok_and(|messages| messages.len() == 1)));
    }
}
