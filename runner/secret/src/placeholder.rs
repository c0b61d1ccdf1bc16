//! What the agent holds instead of a value: of the usual shape, random for each run, and worth nothing.

use std::fmt;

use zeroize::Zeroizing;

use crate::value::{LONGEST, Secret};
use crate::{Error, shape};

/// The most bytes of a placeholder: of a value's length, or more where the value is short.
pub const LONGEST_PLACEHOLDER: usize = LONGEST + 64;

/// How long a part of a value may not be found in its placeholder.
const WINDOW: usize = 8;
/// How many more signs are drawn than are needed, and how often all of them. A value for which that is too few was made so.
const DRAWS: usize = 10_000;
const TRIES: usize = 16;
const NOT_RANDOM: &str = "the value holds whatever could be drawn, so it is not random: replace it";

/// A placeholder: letters, digits, `-`, `_` and `.`, then at most two `=`. At least 128 bits of it are random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Placeholder(String);

impl Placeholder {
    /// A new placeholder of the value's usual shape: its issuer's prefix, its alphabet and its length, unless 128 bits
    /// need more. Beyond the prefix it shares no eight bytes with the value.
    ///
    /// # Errors
    /// [`Error::Placeholder`]: no random bytes, or a value that holds every string that could be drawn.
    pub fn of(value: &Secret) -> Result<Self, Error> {
        let mut parts = parts(value.expose());
        parts.sort_unstable();
        for _ in 0..TRIES {
            let (prefix, text) =
                Draw { parts: &parts, text: String::new(), draws: 0 }.like(value.expose())?;
            // A sign is drawn so that it ends nothing of the value; what a dash or a dot between them ends is seen here.
            let beyond = text.as_bytes().get((prefix + 1).saturating_sub(WINDOW)..).unwrap_or_default();
            if self::parts(beyond).iter().all(|part| parts.binary_search(part).is_err()) {
                return Self::parse(&text);
            }
        }
        Err(Error::Placeholder(NOT_RANDOM))
    }

    /// Reads a placeholder that another process made.
    ///
    /// # Errors
    /// [`Error::Wire`] if it is not made of what placeholders are made of, or so short that it is not one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let signs = text.trim_end_matches('=');
        let known = |sign: u8| sign.is_ascii_alphanumeric() || b"-_.".contains(&sign);
        let least = shape::signs_for_128_bits(shape::ANY);
        if signs.len() < least || text.len() > LONGEST_PLACEHOLDER || text.len() - signs.len() > 2 {
            return Err(Error::Wire("a placeholder has an impossible length"));
        }
        if !signs.bytes().all(known) {
            return Err(Error::Wire("a placeholder has a sign that placeholders have not"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without the `=` at its end: what is looked for, since whoever encodes a text may drop or escape them.
    #[must_use]
    pub fn core(&self) -> &str {
        self.0.trim_end_matches('=')
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Each eight bytes of a text.
fn parts(text: &[u8]) -> Zeroizing<Vec<u64>> {
    let mut parts = Zeroizing::new(Vec::with_capacity(text.len()));
    let whole = |part: &[u8]| <[u8; WINDOW]>::try_from(part).ok().map(u64::from_be_bytes);
    parts.extend(text.windows(WINDOW).filter_map(whole));
    parts
}

/// A placeholder that is being drawn.
struct Draw<'a> {
    /// Each eight bytes of the value, in order.
    parts: &'a [u64],
    text: String,
    draws: usize,
}

impl Draw<'_> {
    /// Draws what looks like `value`. The number is the length of the prefix that everybody knows.
    fn like(mut self, value: &[u8]) -> Result<(usize, String), Error> {
        if let Some((payload, signature)) = shape::jwt(value) {
            self.text.push_str(shape::JWT_HEADER);
            self.signs(payload, shape::ANY)?;
            self.text.push('.');
            self.signs(signature.max(shape::signs_for_128_bits(shape::ANY)), shape::ANY)?;
            return Ok((shape::JWT_HEADER.len(), self.text));
        }
        if let Some(alphabet) = shape::uuid(value) {
            for at in 0..value.len() {
                if shape::UUID.contains(&at) { self.text.push('-') } else { self.sign(alphabet)? }
            }
            return Ok((0, self.text));
        }
        let prefix = shape::prefix(value);
        self.text.push_str(prefix);
        let padding = shape::padding(value);
        let signs = value.get(prefix.len()..value.len() - padding).unwrap_or_default();
        // Base64 in whole groups of four stays that, and its last sign is drawn from few.
        let (alphabet, last, unit) = match shape::LAST.get(padding) {
            Some(last) if padding > 0 => (shape::ANY, *last, 4),
            _ => (shape::alphabet(signs), shape::alphabet(signs), 1),
        };
        let least = shape::signs_for_128_bits(alphabet) + usize::from(padding > 0);
        let length = signs.len() + least.saturating_sub(signs.len()).next_multiple_of(unit);
        self.signs(length - 1, alphabet)?;
        self.sign(last)?;
        self.text.push_str("==".get(..padding).unwrap_or_default());
        Ok((prefix.len(), self.text))
    }

    fn signs(&mut self, count: usize, alphabet: &[u8]) -> Result<(), Error> {
        (0..count).try_for_each(|_| self.sign(alphabet))
    }

    /// Draws one sign, again while the last eight bytes are also in the value.
    fn sign(&mut self, alphabet: &[u8]) -> Result<(), Error> {
        while self.draws < DRAWS + self.text.len() {
            self.draws += 1;
            self.text.push(char::from(one_of(alphabet)?));
            let last = self.text.as_bytes().last_chunk::<WINDOW>().copied().map(u64::from_be_bytes);
            if last.is_none_or(|last| self.parts.binary_search(&last).is_err()) {
                return Ok(());
            }
            self.text.pop();
        }
        Err(Error::Placeholder(NOT_RANDOM))
    }
}

/// One sign of an alphabet, each as likely as the other.
fn one_of(alphabet: &[u8]) -> Result<u8, Error> {
    let size = alphabet.len();
    // The bytes from here on would make the first signs likelier.
    let whole = 256 - 256 % size.max(1);
    loop {
        let mut byte = [0];
        aws_lc_rs::rand::fill(&mut byte)
            .map_err(|_| Error::Placeholder("the system gave no random bytes"))?;
        let [byte] = byte.map(usize::from);
        if byte < whole {
            return alphabet.get(byte % size).copied().ok_or(Error::Placeholder("an empty alphabet"));
        }
    }
}
