//! Percent-encoding (RFC 3986 §2.1), both ways, and as a decoder that is given one byte after the other.

use zeroize::Zeroizing;

/// RFC 3986 §2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

/// Encodes each byte that `keep` does not keep.
pub(super) fn encode(bytes: &[u8], digits: &[u8; 16], keep: impl Fn(u8) -> bool) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
    for byte in bytes {
        if keep(*byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend([byte >> 4, byte & 15].iter().filter_map(|digit| digits.get(usize::from(*digit))));
        }
    }
    out
}

/// The digits that RFC 3986 §2.1 asks for.
pub(super) const UPPER: &[u8; 16] = b"0123456789ABCDEF";
/// The digits that some encoders write.
pub(super) const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Decodes; what is no escape stays as it is.
pub(super) fn decode(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut decoder = Decoder::default();
    for byte in text {
        decoder.push(*byte, |byte| out.push(byte));
    }
    decoder.finish(|byte| out.push(byte));
    out
}

/// What was read of an escape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Decoder {
    #[default]
    Outside,
    Percent,
    /// The first digit.
    Digit(u8),
}

impl Decoder {
    pub(super) fn push(&mut self, byte: u8, mut out: impl FnMut(u8)) {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *self = match (*self, byte) {
            (Self::Digit(first), _) => match (digit(first), digit(byte)) {
                (Some(high), Some(low)) => {
                    out(high << 4 | low);
                    return *self = Self::Outside;
                }
                _ => {
                    self.finish(&mut out);
                    return self.push(byte, out);
                }
            },
            (Self::Percent, _) if digit(byte).is_some() => Self::Digit(byte),
            (Self::Percent, _) => {
                self.finish(&mut out);
                return self.push(byte, out);
            }
            (Self::Outside, b'%') => Self::Percent,
            (Self::Outside, _) => {
                out(byte);
                Self::Outside
            }
        };
    }

    /// Gives out what was no escape.
    pub(super) fn finish(&mut self, mut out: impl FnMut(u8)) {
        match std::mem::take(self) {
            Self::Outside => {}
            Self::Percent => out(b'%'),
            Self::Digit(first) => {
                out(b'%');
                out(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_escape_is_decoded_and_nothing_else() {
        for (text, decoded) in [
            ("%41b", "Ab"),
            ("%4", "%4"),
            ("%", "%"),
            ("%%41", "%A"),
            ("%4%41", "%4A"),
            ("%4z", "%4z"),
            ("%zz%7e", "%zz~"),
        ] {
            assert_eq!(*decode(text.as_bytes()), decoded.as_bytes(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            for digits in [UPPER, LOWER] {
                prop_assert_eq!(&*decode(&encode(&bytes, digits, is_unreserved)), &bytes);
            }
        }
    }
}
