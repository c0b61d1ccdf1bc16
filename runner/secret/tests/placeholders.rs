//! What a placeholder keeps of its value, and what it must not.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use agentrc_secret::{Placeholder, Secret};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn of(value: &str) -> Placeholder {
    Placeholder::of(&Secret::new(Zeroizing::new(value.as_bytes().to_vec())).unwrap()).unwrap()
}

#[test]
fn the_usual_shapes_are_kept() {
    for (prefix, value) in [
        ("ghp_", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        (
            "github_pat_",
            "github_pat_11ABCDEFG0aBcDeFgHiJkL_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV",
        ),
        ("glpat-", "glpat-abcdefghijklmnopqrstuvwXYZ"),
        (
            "sk-ant-api03-",
            "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklAA",
        ),
        ("sk-proj-", "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"),
        ("AIza", "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234"),
        ("hf_", "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"),
        ("dop_v1_", "dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ] {
        let placeholder = of(value);
        assert!(placeholder.as_str().starts_with(prefix), "{placeholder}");
        assert_eq!(placeholder.as_str().len(), value.len(), "{placeholder}");
    }
}

#[test]
fn a_uuid_stays_one() {
    let placeholder = of("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").to_string();
    let parts: Vec<_> = placeholder.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{placeholder}");
    assert!(placeholder.bytes().all(|sign| sign == b'-' || matches!(sign, b'0'..=b'9' | b'a'..=b'f')));
}

#[test]
fn a_token_in_three_parts_stays_one_and_its_header_can_be_read() {
    let value = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
    let placeholder = of(value).to_string();
    let parts: Vec<_> = placeholder.split('.').collect();
    assert_eq!(parts[0], "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
    assert_eq!((parts.len(), parts[1].len(), parts[2].len()), (3, 27, 26));
}

#[test]
fn whole_base64_stays_that() {
    for (value, padding, last) in [
        ("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXM=", 1, "AEIMQUYcgkosw048"),
        ("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LQ==", 2, "AQgw"),
        ("c2VjcmV0LQ==", 2, "AQgw"),
    ] {
        let placeholder = of(value).to_string();
        assert_eq!(placeholder.len() % 4, 0, "{placeholder}");
        assert_eq!(placeholder.len() - placeholder.trim_end_matches('=').len(), padding, "{placeholder}");
        assert!(last.contains(placeholder.trim_end_matches('=').chars().last().unwrap()), "{placeholder}");
        assert!(placeholder.len() >= value.len() && placeholder.len() < value.len() + 24);
    }
}

#[test]
fn a_short_value_gets_a_longer_placeholder() {
    assert_eq!(of("12345678").as_str().len(), 39);
    assert_eq!(of("deadbeef").as_str().len(), 32);
    assert_eq!(of("AKIAIOSFODNN7EXAMPLE").as_str().len(), 30);
    assert_eq!(of("hunter2!").as_str().len(), 22);
}

#[test]
fn no_two_are_the_same() {
    let drawn: BTreeSet<_> = (0..1000).map(|_| of("12345678")).collect();
    assert_eq!(drawn.len(), 1000);
}

#[test]
fn each_sign_of_an_alphabet_is_about_as_likely() {
    let mut counts = [0_usize; 256];
    for _ in 0..500 {
        of("00000000000000000000000000000000000000000000")
            .as_str()
            .bytes()
            .for_each(|sign| counts[sign as usize] += 1);
    }
    let digits = &counts[usize::from(b'0')..=usize::from(b'9')];
    assert_eq!(digits.iter().sum::<usize>(), 500 * 44);
    assert!(digits.iter().all(|count| (1900..2500).contains(count)), "{digits:?}");
}

#[test]
fn what_is_no_placeholder_is_not_read_as_one() {
    for text in [
        "",
        "short",
        "ghp_with a space in it, and long enough",
        "abcdefghijklmnopqrstuvwxyz===",
        &"x".repeat(9000),
    ] {
        assert!(Placeholder::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_placeholder_shares_nothing_with_its_value(
        value in prop_oneof![
            "[0-9]{8,400}", "[0-9a-f]{8,80}", "[A-Za-z0-9+/]{30}==", "(ghp_|sk-|AKIA)[A-Za-z0-9]{8,80}", "[ -~]{8,200}", "[01]{8,300}",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "eyJ[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,40}",
        ],
    ) {
        let placeholder = of(&value);
        let text = placeholder.as_str();
        prop_assert_ne!(text, &value);
        let prefix = if text.starts_with("eyJ") { 37 } else { text.len().min(text.find(['_', '-']).map_or(4, |at| at + 1)) };
        for (at, part) in text.as_bytes().windows(8).enumerate().filter(|(at, _)| at + 8 > prefix) {
            prop_assert!(!value.as_bytes().windows(8).any(|other| other == part), "at {at} of {text}");
        }
        // What a client may do to a text, it need not do to this one.
        prop_assert!(placeholder.core().bytes().all(|sign| sign.is_ascii_alphanumeric() || b"-_.".contains(&sign)));
        prop_assert_eq!(Placeholder::parse(text).unwrap(), placeholder.clone());
    }
}
