//! Bodies and streams that go out.

use super::*;
use agentrc_egress::credential::Place;
use proptest::prelude::*;

/// Whether a scanner lets a body pass, given in chunks of these sizes.
fn passes(run: &Run, body: &[u8], mut sizes: impl Iterator<Item = usize>) -> bool {
    let mut scanner = run.guard.scanner(Place::Body);
    let mut rest = body;
    let mut result = Ok(());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(sizes.next().unwrap_or(rest.len()).clamp(1, rest.len()));
        result = scanner.push(chunk);
        rest = after;
    }
    result.is_ok()
}

#[test]
fn a_body_with_a_placeholder_is_refused_by_name_and_stays_so() {
    let run = run(Way::Header);
    let mut scanner = run.guard.scanner(Place::Body);
    let (one, two) = run.other.split_at(10);
    assert_eq!(scanner.push(b"{\"key\":\""), Ok(()));
    assert_eq!(scanner.push(one.as_bytes()), Ok(()));
    let refusal = scanner.push(two.as_bytes()).unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Place { name, place: Place::Body, .. } if name == "other"),
        "{refusal}"
    );
    assert_eq!(scanner.push(b"\"}"), Err(refusal));
}

#[test]
fn the_end_of_an_escape_can_be_the_begin_of_a_placeholder() {
    let run = run(Way::Header);
    for before in ["%", "%a", "%4", "%%", "%2", "%zz", "%41", "%g"] {
        for placeholder in [run.placeholder.clone(), escaped(&run.placeholder)] {
            assert!(
                !passes(&run, format!("{before}{placeholder}").as_bytes(), std::iter::repeat(1)),
                "{before}"
            );
        }
    }
}

proptest! {
    #[test]
    fn a_placeholder_is_found_in_any_form_over_any_boundary(
        before in "[ -~]{0,20}", after in "[ -~]{0,20}", form in 0..5, which: bool,
        sizes in prop::collection::vec(1..30_usize, 0..40),
    ) {
        let run = run(Way::Header);
        let placeholder = if which { &run.placeholder } else { &run.other };
        let some_escaped: String = placeholder.char_indices()
            .map(|(at, sign)| if at % 3 == 1 { escaped(&sign.to_string()).to_uppercase() } else { sign.to_string() }).collect();
        let body = match form {
            0 => format!("{before}{placeholder}{after}"),
            1 => format!("{before}{}{after}", escaped(placeholder)),
            2 => format!("{before}{some_escaped}{after}"),
            3 => base64(&format!("{before}{placeholder}{after}")),
            _ => escaped(&base64(&format!("{before}{placeholder}{after}"))),
        };
        prop_assert!(!passes(&run, body.as_bytes(), sizes.into_iter().cycle()));
    }

    #[test]
    fn what_holds_no_placeholder_passes(body: Vec<u8>, sizes in prop::collection::vec(1..30_usize, 0..40)) {
        let run = run(Way::Header);
        prop_assert!(passes(&run, &body, sizes.into_iter().cycle()));
        // Nor do all but its last sign, twice.
        let part = &run.placeholder[..run.placeholder.len() - 1];
        let halves = [part, part].join("!");
        prop_assert!(passes(&run, halves.as_bytes(), std::iter::repeat(3)));
    }
}
