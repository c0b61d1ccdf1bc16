//! Messages of D-Bus (Specification 0.43, "Message Protocol", "Marshaling"): as much of them as three calls need.

use zeroize::Zeroizing;

/// The part of a message before its fields, and the length of these.
pub(super) const FIXED: usize = 16;

/// A method call.
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) signature: &'a str,
    pub(super) arguments: &'a [Argument<'a>],
}

/// One argument of a call.
pub(super) enum Argument<'a> {
    /// `s`, or `o`, which is written alike.
    Text(&'a str),
    /// `v` that holds an `s`.
    Variant(&'a str),
    /// `a{ss}`.
    Attributes(&'a [(&'a str, &'a str)]),
}

/// The kinds of messages that answer a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Return,
    Error,
    Other,
}

/// What came.
pub(super) struct Reply {
    pub(super) kind: Kind,
    /// The serial number of the call.
    pub(super) to: Option<u32>,
    pub(super) signature: String,
    /// The name of an error.
    pub(super) error: String,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Writes a message, all in little-endian.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    /// INVARIANT: no text that is written here has 4 GiB.
    pub(super) fn text(&mut self, text: &str) {
        self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    pub(super) fn signature(&mut self, signature: &str) {
        self.0.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(signature.as_bytes());
        self.0.push(0);
    }

    /// An array, whose length is known once it is written.
    pub(super) fn array(&mut self, alignment: usize, content: impl FnOnce(&mut Self)) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        let from = self.0.len();
        content(self);
        let length = u32::try_from(self.0.len() - from).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn field(&mut self, code: u8, signature: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.align(8);
        self.0.push(code);
        self.signature(signature);
        if signature == "g" { self.signature(text) } else { self.text(text) }
    }
}

/// The bytes of a call.
pub(super) fn call(serial: u32, call: &Call<'_>) -> Vec<u8> {
    let mut body = Writer::default();
    for argument in call.arguments {
        match argument {
            Argument::Text(text) => body.text(text),
            Argument::Variant(text) => {
                body.signature("s");
                body.text(text);
            }
            Argument::Attributes(pairs) => body.array(8, |body| {
                for (name, value) in *pairs {
                    body.align(8);
                    body.text(name);
                    body.text(value);
                }
            }),
        }
    }
    let fields = [
        (1, "o", call.path),
        (2, "s", call.interface),
        (3, "s", call.member),
        (6, "s", call.destination),
        (8, "g", call.signature),
    ];
    message(1, serial, None, &fields, &body.0)
}

/// The bytes of a message of any kind.
pub(super) fn message(
    kind: u8,
    serial: u32,
    to: Option<u32>,
    fields: &[(u8, &str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut out = Writer(vec![b'l', kind, 0, 1]);
    out.number(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.number(serial);
    out.array(8, |out| {
        for (code, signature, text) in fields {
            out.field(*code, signature, text);
        }
        if let Some(to) = to {
            out.align(8);
            out.0.push(5);
            out.signature("u");
            out.number(to);
        }
    });
    out.align(8);
    out.0.extend_from_slice(body);
    out.0
}

/// How many bytes of fields (with what fills them up) and of body follow.
pub(super) fn lengths(fixed: &[u8; FIXED]) -> Option<(usize, usize)> {
    let mut cursor = Cursor::new(fixed);
    let start = cursor.take(4)?;
    // Byte order, and the version of the protocol.
    if start.first() != Some(&b'l') || start.last() != Some(&1) {
        return None;
    }
    let body = cursor.number()?;
    cursor.number()?;
    let fields = cursor.number()?;
    // The array begins at 16, so it needs no filling before.
    Some((usize::try_from(fields).ok()?.checked_next_multiple_of(8)?, usize::try_from(body).ok()?))
}

/// Reads a message of which `rest` is what follows the fixed part.
pub(super) fn reply(fixed: &[u8; FIXED], rest: &[u8], fields: usize) -> Option<Reply> {
    let kind = match fixed.get(1)? {
        2 => Kind::Return,
        3 => Kind::Error,
        _ => Kind::Other,
    };
    let (head, body) = rest.split_at_checked(fields)?;
    let mut reply = Reply {
        kind,
        to: None,
        signature: String::new(),
        error: String::new(),
        body: Zeroizing::new(body.to_vec()),
    };
    let length = usize::try_from(Cursor::new(fixed.get(12..)?).number()?).ok()?;
    let mut cursor = Cursor::new(head.get(..length)?);
    while !cursor.is_at_end() {
        cursor.align(8)?;
        let code = *cursor.take(1)?.first()?;
        match (code, cursor.signature()?) {
            (4, "s") => reply.error = cursor.text()?.to_owned(),
            (5, "u") => reply.to = Some(cursor.number()?),
            (8, "g") => reply.signature = cursor.signature()?.to_owned(),
            (_, "s" | "o") => drop(cursor.text()?),
            (_, "g") => drop(cursor.signature()?),
            (_, "u") => drop(cursor.number()?),
            _ => return None,
        }
    }
    Some(reply)
}

/// Reads values, each where its alignment wants it.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn align(&mut self, to: usize) -> Option<()> {
        let filled = self.at.checked_next_multiple_of(to)?;
        self.take(filled - self.at).map(|_| ())
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn ended_by_nul(&mut self, length: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.take(1)? == [0]).then_some(text)
    }

    /// `s` or `o`.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        self.ended_by_nul(length)
    }

    pub(super) fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(*self.take(1)?.first()?);
        self.ended_by_nul(length)
    }

    /// `v` that holds an `s`.
    pub(super) fn variant_of_text(&mut self) -> Option<&'a str> {
        (self.signature()? == "s").then_some(())?;
        self.text()
    }

    /// `ay`.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// `as` or `ao`.
    pub(super) fn texts(&mut self) -> Option<Vec<String>> {
        let length = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(length)?;
        let mut texts = Vec::new();
        while self.at < end {
            texts.push(self.text()?.to_owned());
        }
        (self.at == end).then_some(texts)
    }
}
