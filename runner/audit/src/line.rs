//! One line of a log: the envelope around an event or a checkpoint.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// What precedes the signed bytes of a checkpoint, so that the signature means nothing anywhere else.
pub const DOMAIN: &[u8] = b"agentrc audit checkpoint v1\n";

/// SHA-256, in JSON as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What the first line says of its predecessor.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
            *to = *from;
        }
        Self(out)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        unhex(&text).map(Self).ok_or_else(|| "not a SHA-256 in 64 lower-case hexadecimal digits".to_owned())
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Counts from 0.
    pub seq: u64,
    /// RFC 3339, UTC, nine decimals.
    pub time: String,
    /// The run.
    pub run: String,
    /// Digest of the previous line, newline included; [`Digest::ZERO`] in the first.
    pub prev: Digest,
    /// What it holds.
    #[serde(flatten)]
    pub body: Body,
}

/// What a line holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Body {
    /// A signature over everything before it.
    Checkpoint {
        /// The signature.
        checkpoint: Checkpoint,
    },
    /// Something that happened.
    Event(Event),
}

/// A signature over the log so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Whether nothing follows: the run is over.
    #[serde(rename = "final")]
    pub last: bool,
    /// Which key, see [`crate::sign::PublicKey::id`].
    pub key_id: String,
    /// Ed25519, 128 hexadecimal digits, over [`DOMAIN`] and this line with an empty signature.
    pub signature: String,
}

/// Now, as logs write it: `2026-11-25T12:45:22.000000001Z`.
#[must_use]
pub fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

/// Whether `text` is a time as [`now`] writes it.
#[must_use]
pub fn is_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok_and(|time| format!("{time:.9}") == text)
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of exactly `2 * N` lower-case hexadecimal digits.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (to, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *to = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canon::{from_line, to_line};
    use crate::event::samples;

    #[test]
    fn every_event_comes_back_from_its_line() {
        for event in samples() {
            let line = Line {
                seq: 1,
                time: now(),
                run: "r".into(),
                prev: Digest::of(b"x"),
                body: Body::Event(event),
            };
            let bytes = to_line(&line).unwrap();
            assert_eq!(from_line::<Line>(&bytes).unwrap(), line);
            assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }

    #[test]
    fn no_event_has_a_field_of_the_envelope() {
        for event in samples() {
            let value = serde_json::to_value(&event).unwrap();
            for name in ["seq", "time", "run", "prev", "checkpoint"] {
                assert!(value.get(name).is_none(), "{name} in {value}");
            }
        }
    }

    #[test]
    fn only_lower_case_hex_of_the_right_length_is_a_digest() {
        assert_eq!(unhex::<2>("0aff"), Some([10, 255]));
        for wrong in ["0aF0", "0af", "0aff0", "0ag0", "é0f"] {
            assert_eq!(unhex::<2>(wrong), None, "{wrong}");
        }
        assert_eq!(hex(&[10, 255]), "0aff");
    }

    #[test]
    fn only_our_own_spelling_of_a_time_counts() {
        assert!(is_time(&now()));
        for wrong in [
            "2026-11-25T12:45:22Z",
            "2026-11-25T12:45:22.000000001+00:00",
            "",
            "2026-13-25T12:45:22.000000001Z",
        ] {
            assert!(!is_time(wrong), "{wrong}");
        }
    }
}
