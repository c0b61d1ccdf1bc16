//! The value itself. It can be read by one method, which is therefore what a review looks for.

use std::fmt;

use zeroize::Zeroizing;

use crate::Error;

/// The fewest bytes of a value. A value is also looked for in answers, and what is found is replaced: a shorter one would
/// be found where it is not meant, and an agent could find it by trying what gets replaced.
pub const SHORTEST: usize = 8;
/// The most bytes of a value: what common servers take as all headers of a request.
pub const LONGEST: usize = 8192;

/// The value of a credential: wiped when dropped, and never formatted, serialised, cloned or compared.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes a value that is to go into a request. The buffer becomes the value's, so that no copy is left behind.
    ///
    /// # Errors
    /// [`Error::Short`], [`Error::Long`], or [`Error::Unprintable`]: control characters, which no header holds
    /// (RFC 9110 §5.5), among them NUL, CR and LF. Whatever the error, the buffer is wiped.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        if bytes.len() < SHORTEST {
            return Err(Error::Short);
        }
        if bytes.len() > LONGEST {
            return Err(Error::Long);
        }
        // A tab is allowed within a header, but no credential has one: it is a slip of whoever stored the value.
        if bytes.iter().any(u8::is_ascii_control) {
            return Err(Error::Unprintable);
        }
        Ok(Self(bytes))
    }

    /// The bytes. Whoever calls this copies them only into what is wiped, or sent.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &[u8]) -> Result<Secret, Error> {
        Secret::new(Zeroizing::new(text.to_vec()))
    }

    #[test]
    fn a_value_is_not_shown() {
        let value = secret(b"ghp_0123456789").unwrap();
        assert_eq!(format!("{value:?} {value:#?}"), "Secret(..) Secret(..)");
        assert_eq!(value.expose(), b"ghp_0123456789");
    }

    #[test]
    fn a_value_that_no_header_can_hold_is_refused_and_not_repeated() {
        for text in [&b"canary-1\n"[..], b"canary\r\nX: 1", b"canary-\0-", b"canary\ttab", b"canary-\x7f"] {
            let error = secret(text).unwrap_err();
            assert!(matches!(error, Error::Unprintable), "{error}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }

    #[test]
    fn a_value_has_a_length_within_bounds() {
        assert!(matches!(secret(b"1234567"), Err(Error::Short)));
        assert!(secret(b"12345678").is_ok());
        assert!(secret(&[b'x'; LONGEST]).is_ok());
        assert!(matches!(secret(&[b'x'; LONGEST + 1]), Err(Error::Long)));
    }

    #[test]
    fn a_value_that_is_not_ascii_is_one_too() {
        assert!(secret("pässwörter".as_bytes()).is_ok());
        assert!(secret(&[0x80; 8]).is_ok());
    }
}
