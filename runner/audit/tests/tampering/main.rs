//! Every way in which a log or the ledger can be changed without the key, and that it shows.
#![cfg(test)]

mod fixture;

use std::io::Write as _;
use std::sync::Arc;

use agentrc_audit::canon::{Flaw, to_line};
use agentrc_audit::folder::Folder;
use agentrc_audit::ledger;
use agentrc_audit::ledger::Runs;
use agentrc_audit::level::AuditLevel;
use agentrc_audit::line::{Body, Checkpoint, DOMAIN, Digest, Line};
use agentrc_audit::log::{LOG_FILE, Log};
use agentrc_audit::sign::SigningKey;
use agentrc_audit::verify::{Finding, Reason, Verdict, compare_runs, verify, verify_ledger};
use proptest::prelude::*;

use fixture::{RUN, SMALL, after, armed, assert_found, check, edited, lines, record};

#[test]
fn an_untouched_log_is_intact() {
    let report = check(&SMALL.log);
    assert_eq!(report.findings, []);
    assert_eq!(report.verdict(), Verdict::Intact);
    assert_eq!((report.lines, report.events, report.checkpoints, report.unsigned), (9, 8, 1, 0));
}

#[test]
fn an_edited_value_is_found_in_the_next_line() {
    assert_found(&after(|all| edited(&mut all[2], "EPERM", "EPERN")), 4, |r| *r == Reason::Unlinked);
}

#[test]
fn an_edited_last_event_is_found() {
    assert_found(&after(|all| edited(&mut all[7], "\"exit_code\":0", "\"exit_code\":1")), 9, |r| {
        *r == Reason::Unlinked
    });
}

#[test]
fn an_edited_time_is_found_even_in_the_final_line() {
    let report = after(|all| edited(&mut all[8], "\"time\":\"2", "\"time\":\"3"));
    assert_found(&report, 9, |r| *r == Reason::BadSignature);
}

#[test]
fn a_removed_line_is_found_and_counted() {
    let report = after(|all| drop(all.remove(3)));
    assert_found(&report, 4, |r| *r == Reason::Removed { expected: 3, found: 4 });
}

#[test]
fn the_removed_first_line_is_found() {
    assert_found(&after(|all| drop(all.remove(0))), 1, |r| *r == Reason::Removed { expected: 0, found: 1 });
}

#[test]
fn a_removed_line_is_found_although_the_rest_is_renumbered() {
    let report = after(|all| {
        all.remove(3);
        for (at, line) in all.iter_mut().enumerate().skip(3) {
            edited(line, &format!("\"seq\":{}", at + 1), &format!("\"seq\":{at}"));
        }
    });
    assert_found(&report, 4, |r| *r == Reason::Unlinked);
}

#[test]
fn a_chain_that_was_computed_anew_is_found_by_its_signature() {
    let report = after(|all| {
        all.remove(3);
        let mut prev = Digest::ZERO;
        for (at, line) in all.iter_mut().enumerate() {
            let mut parsed: Line = serde_json::from_slice(line).unwrap();
            (parsed.seq, parsed.prev) = (at as u64, prev);
            *line = to_line(&parsed).unwrap();
            prev = Digest::of(line);
        }
    });
    assert_eq!(report.findings, [Finding { line: 8, reason: Reason::BadSignature }]);
}

#[test]
fn a_log_signed_with_another_key_is_found() {
    let report = after(|all| {
        let other = SigningKey::generate().unwrap().0;
        let mut last: Line = serde_json::from_slice(&all[8]).unwrap();
        let key_id = other.public().id();
        last.body =
            Body::Checkpoint { checkpoint: Checkpoint { last: true, key_id, signature: String::new() } };
        let signed = other.sign(DOMAIN, &to_line(&last).unwrap());
        if let Body::Checkpoint { checkpoint } = &mut last.body {
            checkpoint.signature = signed;
        }
        all[8] = to_line(&last).unwrap();
    });
    assert_found(&report, 9, |r| matches!(r, Reason::WrongKey(_)));
}

#[test]
fn a_signature_made_for_another_purpose_is_found() {
    let report = after(|all| {
        let mut last: Line = serde_json::from_slice(&all[8]).unwrap();
        let Body::Checkpoint { checkpoint } = &mut last.body else { panic!() };
        checkpoint.signature.clear();
        let bytes = to_line(&last).unwrap();
        let Body::Checkpoint { checkpoint } = &mut last.body else { panic!() };
        checkpoint.signature = SMALL.signing.sign(ledger::DOMAIN, &bytes);
        all[8] = to_line(&last).unwrap();
    });
    assert_found(&report, 9, |r| *r == Reason::BadSignature);
}

#[test]
fn an_inserted_line_is_found() {
    assert_found(
        &after(|all| {
            let mut forged: Line = serde_json::from_slice(&all[3]).unwrap();
            forged.prev = Digest::of(&all[3]);
            forged.seq = 4;
            all.insert(4, to_line(&forged).unwrap());
        }),
        6,
        |r| *r == Reason::OutOfOrder { expected: 5, found: 4 },
    );
}

#[test]
fn a_repeated_line_is_found() {
    let report = after(|all| all.insert(4, all[3].clone()));
    assert_found(&report, 5, |r| *r == Reason::OutOfOrder { expected: 4, found: 3 });
}

#[test]
fn swapped_lines_are_found() {
    let report = after(|all| all.swap(3, 4));
    assert_found(&report, 4, |r| matches!(r, Reason::Removed { .. }));
    assert_found(&report, 5, |r| matches!(r, Reason::OutOfOrder { .. }));
}

#[test]
fn a_whole_log_of_another_run_is_found() {
    let report = verify(&*SMALL.log, "20261125-124522-0000", &SMALL.key).unwrap();
    assert_found(&report, 1, |r| *r == Reason::ForeignRun(RUN.into()));
}

#[test]
fn one_line_of_another_run_is_found() {
    let report = after(|all| edited(&mut all[4], RUN, "20261125-124522-0000"));
    assert_found(&report, 5, |r| matches!(r, Reason::ForeignRun(_)));
}

#[test]
fn a_key_that_is_there_twice_is_found() {
    let report = after(|all| edited(&mut all[2], "\"count\":1", "\"count\":9,\"count\":1"));
    assert_found(&report, 3, |r| *r == Reason::Flaw(Flaw::DuplicateKey("count".into())));
}

#[test]
fn an_added_member_is_found() {
    let report = after(|all| edited(&mut all[2], "\"count\":1", "\"count\":1,\"note\":\"x\""));
    assert_found(&report, 3, |r| *r == Reason::Flaw(Flaw::NotCanonical));
}

#[test]
fn bytes_that_are_not_utf8_are_found() {
    let report = after(|all| {
        let at = all[2].len() - 4;
        all[2][at] = 0xff;
    });
    assert_found(&report, 3, |r| *r == Reason::Flaw(Flaw::Encoding));
}

#[test]
fn another_spelling_of_the_same_json_is_found() {
    for (from, to) in [("\"count\":1", "\"count\": 0"), ("EPERM", "\\u0045PERM"), ("\"pid\":null,", "")] {
        let report = after(|all| edited(&mut all[2], from, to));
        assert_found(&report, 3, |r| *r == Reason::Flaw(Flaw::NotCanonical));
    }
    let report = after(|all| {
        let end = all[2].len() - 1;
        all[2].insert(end, b'\r');
    });
    assert_found(&report, 3, |r| *r == Reason::Flaw(Flaw::NotCanonical));
}

#[test]
fn an_empty_line_is_found() {
    assert_found(&after(|all| all.insert(2, b"\n".to_vec())), 3, |r| {
        matches!(r, Reason::Flaw(Flaw::Json(_)))
    });
}

#[test]
fn a_line_after_the_end_is_found() {
    let report = after(|all| all.push(all[8].clone()));
    assert_found(&report, 10, |r| *r == Reason::AfterFinal);
}

#[test]
fn bytes_after_the_end_are_found() {
    let report = check(&[&SMALL.log[..], b"x"].concat());
    assert_found(&report, 10, |r| *r == Reason::TrailingBytes(1));
    assert!(!report.finished);
}

#[test]
fn a_line_of_a_gigabyte_is_found_without_reading_it_into_memory() {
    let endless = std::io::BufReader::new(std::io::repeat(b'a'));
    let report = verify(endless, RUN, &SMALL.key).unwrap();
    assert_found(&report, 1, |r| *r == Reason::TooLong);
}

#[test]
fn a_log_cut_at_a_line_is_unfinished_and_with_the_ledger_tampered() {
    let (ledger, runs) = verify_ledger(&*SMALL.ledger, &SMALL.key).unwrap();
    assert_eq!((ledger.verdict(), ledger.lines), (Verdict::Intact, 2));
    let mut whole = check(&SMALL.log);
    whole.compare(runs.0.get(RUN), false);
    assert_eq!(whole.verdict(), Verdict::Intact);
    for kept in 0..9 {
        let mut report = after(|all| all.truncate(kept));
        assert_eq!(report.verdict(), Verdict::Unfinished, "{kept}");
        assert_eq!(report.unsigned, kept as u64);
        report.compare(runs.0.get(RUN), false);
        assert_found(&report, 0, |r| *r == Reason::NotTheRecordedEnd { found: kept as u64, recorded: 9 });
    }
}

#[test]
fn a_ledger_whose_last_line_was_cut_off_is_found_by_the_finished_log() {
    let shortened = lines(&SMALL.ledger)[0].clone();
    let (ledger, runs) = verify_ledger(&*shortened, &SMALL.key).unwrap();
    assert_eq!(ledger.verdict(), Verdict::Intact, "a shorter ledger is valid by itself");
    let mut report = check(&SMALL.log);
    report.compare(runs.0.get(RUN), false);
    assert_eq!(report.findings, [Finding { line: 0, reason: Reason::EndNotInLedger }]);
    // A supervisor that died between its two last writes leaves the same: this is no proof of tampering.
    assert_eq!(report.verdict(), Verdict::Unfinished);
    let words = report.findings[0].to_string();
    assert!(words.contains("shortened") && words.contains("died"), "{words}");
    let mut edited = after(|all| edited(&mut all[2], "EPERM", "EPERN"));
    edited.compare(runs.0.get(RUN), false);
    assert_eq!(edited.verdict(), Verdict::Tampered, "another finding is one as ever");
    let mut ending = check(&SMALL.log);
    ending.compare(runs.0.get(RUN), true);
    assert_eq!(ending.verdict(), Verdict::Intact, "the entry is yet to come");
}

#[test]
fn another_valid_log_of_the_same_run_is_found_by_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let mut log = Log::create(&folder, RUN, AuditLevel::Basic, Arc::clone(&SMALL.signing)).unwrap();
    log.append(&armed()).unwrap();
    log.finish().unwrap();
    let mut report = check(&std::fs::read(dir.path().join(LOG_FILE)).unwrap());
    assert_eq!(report.verdict(), Verdict::Intact);
    report.compare(verify_ledger(&*SMALL.ledger, &SMALL.key).unwrap().1.0.get(RUN), false);
    assert_found(&report, 0, |r| matches!(r, Reason::NotTheRecordedEnd { .. }));
}

#[test]
fn a_run_that_was_killed_with_its_supervisor_is_unfinished_and_not_tampered() {
    let killed = record(300, false);
    let mut report = verify(&*killed.log, RUN, &killed.key).unwrap();
    let (_, runs) = verify_ledger(&*killed.ledger, &killed.key).unwrap();
    report.compare(runs.0.get(RUN), false);
    assert_eq!(report.verdict(), Verdict::Unfinished);
    assert_eq!((report.checkpoints, report.unsigned), (1, 302 - 256));
}

#[test]
fn a_run_that_the_ledger_does_not_know_is_found() {
    let mut report = check(&SMALL.log);
    report.compare(Runs::default().0.get(RUN), false);
    assert_found(&report, 0, |r| *r == Reason::UnknownRun);
}

#[test]
fn a_run_whose_folder_is_gone_is_found() {
    let (mut report, runs) = verify_ledger(&*SMALL.ledger, &SMALL.key).unwrap();
    compare_runs(&mut report, &runs, &|_| true);
    assert_eq!(report.verdict(), Verdict::Intact);
    compare_runs(&mut report, &runs, &|_| false);
    assert_found(&report, 0, |r| *r == Reason::Missing(RUN.into()));
}

#[test]
fn a_changed_ledger_is_found() {
    let all = lines(&SMALL.ledger);
    let twice = [all[0].clone(), all[1].clone(), all[1].clone()].concat();
    for (log, reason) in [
        (all[1].clone(), Reason::Removed { expected: 0, found: 1 }),
        (twice, Reason::OutOfOrder { expected: 2, found: 1 }),
    ] {
        let report = verify_ledger(&*log, &SMALL.key).unwrap().0;
        assert!(report.findings.iter().any(|finding| finding.reason == reason), "{:?}", report.findings);
    }
    let other = SigningKey::generate().unwrap().0.public();
    let report = verify_ledger(&*SMALL.ledger, &other).unwrap().0;
    assert_found(&report, 1, |r| matches!(r, Reason::WrongKey(_)));
}

#[test]
fn ten_thousand_changes_are_counted_and_not_all_kept() {
    let mut report = Vec::new();
    for _ in 0..10_000 {
        report.write_all(b"{}\n").unwrap();
    }
    let report = check(&report);
    assert_eq!(report.findings.len() as u64 + report.more, 10_000);
    assert_eq!(report.findings.len(), agentrc_audit::verify::FINDINGS);
}

#[test]
fn every_byte_of_log_and_ledger_matters() {
    for at in 0..SMALL.log.len() {
        let mut changed = SMALL.log.clone();
        changed[at] ^= 0x01;
        assert_ne!(check(&changed).verdict(), Verdict::Intact, "byte {at}");
        assert_ne!(check(&SMALL.log[..at]).verdict(), Verdict::Intact, "cut at {at}");
    }
    for at in 0..SMALL.ledger.len() {
        let mut changed = SMALL.ledger.clone();
        changed[at] ^= 0x01;
        let report = verify_ledger(&*changed, &SMALL.key).unwrap().0;
        assert_ne!(report.verdict(), Verdict::Intact, "byte {at} of the ledger");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut log = SMALL.log.clone();
        let at = at.index(log.len());
        prop_assume!(log[at] != to);
        log[at] = to;
        prop_assert_ne!(check(&log).verdict(), Verdict::Intact);
    }

    #[test]
    fn any_removed_moved_or_repeated_range_of_lines_is_found(
        from in 0usize..9, length in 1usize..4, to in 0usize..9, what in 0u8..3,
    ) {
        let mut all = lines(&SMALL.log);
        let untouched = all.clone();
        let end = (from + length).min(all.len());
        let range: Vec<_> = if what == 2 { all[from..end].to_vec() } else { all.drain(from..end).collect() };
        if what > 0 {
            let to = to.min(all.len());
            all.splice(to..to, range);
        }
        prop_assume!(all != untouched);
        prop_assert_ne!(check(&all.concat()).verdict(), Verdict::Intact);
    }

    #[test]
    fn any_inserted_bytes_are_found(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..20)) {
        let mut log = SMALL.log.clone();
        let at = at.index(log.len() + 1);
        log.splice(at..at, bytes);
        prop_assert_ne!(check(&log).verdict(), Verdict::Intact);
    }

    #[test]
    fn any_bytes_at_all_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_ne!(check(&bytes).verdict(), Verdict::Intact);
        let _ = verify_ledger(&*bytes, &SMALL.key).unwrap();
    }
}
