//! What holds for everything that an agent can send (`invariants/`), asked of the fuzzers' seeds, of random bytes, and of
//! pieces that are often right. Cases are few for speed; `PROPTEST_CASES` raises them, and `fuzz/` looks without end.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod invariants;

use std::path::Path;

use proptest::prelude::*;

/// Runs every seed of `fuzz/corpus/NAME`.
fn seeds(name: &str, holds: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "hardly any seed of {name}");
    files.iter().for_each(|file| holds(&std::fs::read(file).unwrap()));
}

#[test]
fn the_seeds_of_the_fuzzers_keep_to_it() {
    seeds("dns", invariants::resolver);
    seeds("client_hello", invariants::first_bytes);
    seeds("http_target", invariants::request);
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

/// A name of labels, as it travels.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let label =
        prop::sample::select(vec!["api", "API", "example", "com", "npmjs", "org", "x", "", "\0", "é"]);
    prop::collection::vec(label, 0..5).prop_map(|labels| {
        let mut name: Vec<u8> =
            labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes())).collect();
        name.push(0);
        name
    })
}

proptest! {
    #[test]
    fn no_question_gets_an_address_that_was_not_declared(
        head in (any::<u16>(), prop_oneof![Just(0x0100_u16), any::<u16>()], 0_u16..3),
        asked in prop::collection::vec((name(), prop::sample::select(vec![1_u16, 28, 65, 255, 7]), 0_u16..4), 0..3),
        more in bytes(),
    ) {
        let mut query: Vec<u8> = [head.0, head.1, head.2, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
        for (name, kind, class) in asked {
            query.extend(name);
            query.extend(kind.to_be_bytes());
            query.extend(class.to_be_bytes());
        }
        invariants::resolver(&query);
        query.extend(&more);
        invariants::resolver(&query);
        invariants::resolver(&more);
    }

    #[test]
    fn what_is_said_of_the_first_bytes_stays_true(
        at in any::<prop::sample::Index>(), to in any::<u8>(), more in bytes(),
    ) {
        let seed = include_bytes!("../../../fuzz/corpus/client_hello/two-records");
        let mut stream = seed.to_vec();
        let place = at.index(stream.len());
        stream[place] = to;
        invariants::first_bytes(&stream);
        stream.extend(&more);
        invariants::first_bytes(&stream);
        invariants::first_bytes(&more);
    }

    #[test]
    fn what_passes_is_for_the_declared_host_alone(
        target in "(https?://)?(u@)?(api\\.example\\.com|evil\\.example|API\\.EXAMPLE\\.COM)?(:443|:80|:)?/?[a-z./%2eEfF5cC;\\\\]{0,16}",
        how in "[12]?C?",
        hosts in prop::collection::vec("(api\\.example\\.com|evil\\.example|u@api\\.example\\.com|)(:443|:0443|:80|\\.|)", 0..3),
        random in bytes(),
    ) {
        let mut lines = vec![target, how];
        lines.extend(hosts);
        invariants::request(lines.join("\n").as_bytes());
        invariants::request(&random);
    }
}
