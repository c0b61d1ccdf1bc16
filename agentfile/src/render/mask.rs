//! Values that were written where only the name of a source may be: a finding shows its line, and is kept in logs that
//! others read, so they are masked. (JSON quotes no line.)

use crate::lex::{self, Words};
use crate::parse::cred;

/// `text` with what might be a credential's value replaced by as many `*`, byte for byte.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for line in lex::lines(text) {
        let mut words = Words::new(line).flatten();
        if words.next().is_some_and(|word| word.text.eq_ignore_ascii_case("CRED")) {
            let arguments: Vec<_> = words.collect();
            for (index, word) in arguments.iter().enumerate() {
                let name = index == 0 && arguments.len() > 1;
                if name || cred::may_be_shown(&word.text) {
                    continue;
                }
                masked.push_str(text.get(masked.len()..word.span.start).unwrap_or_default());
                masked.extend(word.text.bytes().map(|_| '*'));
            }
        }
        masked.push_str(text.get(masked.len()..line.next).unwrap_or_default());
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_and_sources_are_not() {
        let text = "CRED k sk-\u{e9}1 host:h # note\r\nCRED env:K\n cred\tsk-1\nCRED a b sk-2\nCMD sk-3 x";
        let expected = "CRED k ****** host:h # note\r\nCRED env:K\n cred\t****\nCRED a * ****\nCMD sk-3 x";
        assert_eq!(mask(text), expected);
        for line in
            ["CRED https://h.example bearer vault://a#b", "CRED k env:K host:h inject:query", "", "\n"]
        {
            assert_eq!(mask(line), line);
        }
    }
}
