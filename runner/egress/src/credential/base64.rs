//! Base64 (RFC 4648) of what is or may be secret: the ordinary decoders and encoders leave copies behind.

use zeroize::Zeroizing;

/// RFC 4648 §4.
pub(super) const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// RFC 4648 §5.
pub(super) const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn sign(alphabet: &[u8; 64], bits: u32) -> u8 {
    usize::try_from(bits & 63).ok().and_then(|at| alphabet.get(at)).copied().unwrap_or(b'=')
}

/// Encodes, with `=` at the end.
pub(super) fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len().div_ceil(3) * 4));
    for group in bytes.chunks(3) {
        let at = |index: usize| group.get(index).copied().map_or(0, u32::from);
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        out.push(sign(alphabet, bits >> 18));
        out.push(sign(alphabet, bits >> 12));
        out.push(if group.len() > 1 { sign(alphabet, bits >> 6) } else { b'=' });
        out.push(if group.len() > 2 { sign(alphabet, bits) } else { b'=' });
    }
    out
}

/// Decodes standard base64 in its one spelling. A text that this does not take is not understood, and so not changed.
pub(super) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let signs = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3));
    for group in signs.chunks(4) {
        let mut bits: u32 = 0;
        for sign in group {
            let value = STANDARD.iter().position(|one| one == sign)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let [_, one, two, three] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        out.extend([one, two, three].into_iter().take(group.len() - 1));
    }
    // Bits that stand for nothing, signs too few or too many: there would be two spellings.
    (*encode(&out, STANDARD) == text).then_some(out)
}

/// What of a text's base64 is the same whatever stands before and after it: one for each place of the text in a group of
/// three bytes. At most four bits of the first and of the last byte are in none of them.
pub(super) fn within(text: &[u8], alphabet: &[u8; 64]) -> [Zeroizing<Vec<u8>>; 3] {
    [(0, 0), (1, 2), (2, 3)].map(|(before, first)| {
        let mut shifted = Zeroizing::new(Vec::with_capacity(before + text.len()));
        shifted.resize(before, 0);
        shifted.extend_from_slice(text);
        let encoded = encode(&shifted, alphabet);
        let end = shifted.len() * 8 / 6;
        Zeroizing::new(encoded.get(first..end).unwrap_or_default().to_vec())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_4648_hold() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(*encode(text.as_bytes(), STANDARD), encoded.as_bytes());
            assert_eq!(*decode(encoded.as_bytes()).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn a_second_spelling_is_not_read() {
        for text in
            ["Zg", "Zg=", "Zh==", "Zm9", "Zm9v=", "Z", "Zm9vY", "Zm 9v", "Zm9v\n", "====", "Zg==Zg==", "-_-_"]
        {
            assert!(decode(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(&*decode(&encode(&bytes, STANDARD)).unwrap(), &bytes);
        }

        #[test]
        fn a_text_within_another_is_found_by_one_of_three(
            before: Vec<u8>, text in prop::collection::vec(any::<u8>(), 8..40), after: Vec<u8>,
        ) {
            let whole = encode(&[&before[..], &text, &after].concat(), STANDARD);
            let part = &within(&text, STANDARD)[before.len() % 3];
            prop_assert!(whole.windows(part.len()).any(|window| window == &part[..]));
            prop_assert!(part.len() * 6 + 8 >= text.len() * 8);
        }
    }
}
