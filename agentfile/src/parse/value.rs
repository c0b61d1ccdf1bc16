//! Numbers with units: sizes, counts, times, rates.

use crate::diag::Diagnostic;
use crate::span::Span;
use crate::syntax::Word;

/// Factors of byte units, longest suffix first. As in systemd and the kernel, a bare letter is binary.
const BYTES: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("K", 1 << 10),
    ("k", 1 << 10),
    ("M", 1 << 20),
    ("m", 1 << 20),
    ("G", 1 << 30),
    ("g", 1 << 30),
    ("T", 1 << 40),
    ("B", 1),
    ("", 1),
];

/// Factors of time units, in seconds.
const SECONDS: &[(&str, u64)] =
    &[("min", 60), ("hour", 3600), ("day", 86400), ("h", 3600), ("m", 60), ("s", 1), ("", 1)];

/// Units of a rate, in seconds.
const RATES: &[(&str, u64)] = &[
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("min", 60),
    ("minute", 60),
    ("hour", 3600),
    ("h", 3600),
    ("day", 86400),
];

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn wrong(span: Span, what: &str, text: &str, help: &str) -> Diagnostic {
    Diagnostic::error("E014", span, format!("`{text}` is not {what}")).help(help)
}

/// Bytes: `512M`, `1GiB`.
pub(super) fn bytes(text: &str, span: Span) -> Result<u64, Diagnostic> {
    scaled(text, BYTES).ok_or_else(|| {
        wrong(span, "a size", text, "write a whole number with a unit, such as `512M` or `2G` (binary)")
    })
}

/// A whole number.
pub(super) fn count(text: &str, span: Span) -> Result<u64, Diagnostic> {
    scaled(text, &[("", 1)]).ok_or_else(|| wrong(span, "a whole number", text, "write digits only"))
}

/// Seconds: `90`, `90s`, `5min`, `2hour`.
pub(super) fn seconds(text: &str, span: Span) -> Result<u64, Diagnostic> {
    scaled(text, SECONDS)
        .ok_or_else(|| wrong(span, "a time", text, "write seconds, or a unit: `90`, `90s`, `5min`, `2hour`"))
}

/// CPUs in thousandths: `2`, `0.5`.
pub(super) fn cpus(text: &str, span: Span) -> Result<u64, Diagnostic> {
    let parse = || {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return None;
        }
        let thousandths: u64 = format!("{fraction:0<3}").parse().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)
    };
    parse()
        .ok_or_else(|| wrong(span, "a number of CPUs", text, "write `2` or `0.5` (at most three decimals)"))
}

/// `N/unit`, as a count and the seconds of its window.
pub(super) fn rate(text: &str, span: Span) -> Result<(u64, u64), Diagnostic> {
    let parse = || {
        let (number, unit) = text.split_once('/')?;
        let per = RATES.iter().find(|(name, _)| *name == unit)?.1;
        Some((scaled(number, &[("", 1)])?, per))
    };
    parse().ok_or_else(|| {
        wrong(span, "a rate", text, "write `N/s`, `N/min`, `N/hour` or `N/day`, such as `60/min`")
    })
}

/// `key=value` of a word, with the place of the value.
pub(super) fn assignment<'a>(word: &'a Word, prefix: &str) -> Option<(&'a str, Span)> {
    let value = word.text.strip_prefix(prefix)?;
    Some((value, Span::new(word.span.end - value.len(), word.span.end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let at = Span::default();
        assert_eq!(bytes("512M", at).ok(), Some(512 << 20));
        assert_eq!(bytes("2GB", at).ok(), Some(2_000_000_000));
        assert_eq!(bytes("7", at).ok(), Some(7));
        assert_eq!(cpus("0.5", at).ok(), Some(500));
        assert_eq!(cpus("2", at).ok(), Some(2000));
        assert_eq!(seconds("5min", at).ok(), Some(300));
        assert_eq!(rate("60/min", at).ok(), Some((60, 60)));
        for bad in ["", "M", "-1", "1.5M", "1 M", "99999999999999999999", "20000000000T", "１"] {
            assert!(bytes(bad, at).is_err(), "{bad}");
        }
        for bad in ["", ".", "1.", ".5", "1.2345", "1e3"] {
            assert!(cpus(bad, at).is_err(), "{bad}");
        }
        for bad in ["5", "5/", "/min", "5/week", "5/min/s"] {
            assert!(rate(bad, at).is_err(), "{bad}");
        }
    }
}
