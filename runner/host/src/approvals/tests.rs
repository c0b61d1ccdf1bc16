//! What is not whole, not ours or not about this ticket approves nothing.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::state::Place;
use crate::state::StateDir;

fn state() -> (tempfile::TempDir, StateDir) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place { base: dir.path().to_owned(), beneath: "agentrc".into(), make_base: false };
    let state = StateDir::open(&place).unwrap();
    (dir, state)
}

fn ticket(id: &str, run: &str, expires: &str) -> Ticket {
    let arguments = "{\"path\":\"/work/a\"}".to_owned();
    Ticket {
        format: FORMAT,
        id: id.to_owned(),
        run: run.to_owned(),
        agent: "a".to_owned(),
        act: "call file_write /work/a".to_owned(),
        arguments_sha256: Digest::of(arguments.as_bytes()).to_string(),
        arguments,
        effect: None,
        reasons: vec!["writes".to_owned()],
        policies: vec![Policy { id: "policy@3".to_owned(), origin: "Agentfile:3:1".to_owned() }],
        created: agentrc_audit::line::now(),
        expires: expires.to_owned(),
    }
}

const LATER: &str = "2999-01-01T00:00:00Z";

fn closed(result: Result<Ticket, Error>) -> String {
    let Err(Error::Closed { why, .. }) = result else { panic!("{result:?}") };
    why
}

#[test]
fn names_are_typeable_and_nothing_else_is_one() {
    let (_dir, state) = state();
    let run = state.create_run().unwrap();
    let tickets = Tickets::make(run.folder()).unwrap();
    let (one, other) = (tickets.free_id().unwrap(), tickets.free_id().unwrap());
    assert!(is_id(&one) && is_id(&other) && one != other);
    for wrong in [
        "",
        "../x",
        "../../ab",
        "3k9mz0t",
        "3k9mz0ta0",
        "3K9MZ0TA",
        "3k9mz0t\u{e9}",
        "3k9mz0t/",
        "3k9mz0to",
        "\0\0\0\0\0\0\0\0",
    ] {
        assert!(!is_id(wrong), "{wrong}");
        assert!(tickets.ticket(wrong).unwrap().is_none() && tickets.decision(wrong, "").unwrap().is_none());
        assert!(matches!(state.ticket(wrong), Err(Error::NoTicket(_))), "{wrong}");
    }
}

#[test]
fn a_ticket_is_decided_once_and_by_one() {
    let (_dir, state) = state();
    let run = state.create_run().unwrap();
    let tickets = Tickets::make(run.folder()).unwrap();
    tickets.create(&ticket("3k9mz0ta", run.id(), LATER)).unwrap();
    assert!(tickets.create(&ticket("3k9mz0ta", run.id(), LATER)).is_err());
    assert_eq!(state.ticket("3k9mz0ta").unwrap().1.standing, Standing::Pending);
    let decided: Vec<_> = std::thread::scope(|scope| {
        let deciders: Vec<_> = (0..8)
            .map(|number| {
                let state = &state;
                let outcome = if number % 2 == 0 { Outcome::Approved } else { Outcome::Denied };
                scope.spawn(move || {
                    state.decide_ticket("3k9mz0ta", outcome, Scope::Once).is_ok().then_some(outcome)
                })
            })
            .collect();
        deciders.into_iter().filter_map(|decider| decider.join().unwrap()).collect()
    });
    assert_eq!(decided.len(), 1);
    let (_, found) = state.ticket("3k9mz0ta").unwrap();
    let Standing::Decided(decision) = found.standing else { panic!("{found:?}") };
    assert_eq!(Some(&decision.outcome), decided.first());
    assert_eq!(decision.by, Some(rustix::process::getuid().as_raw()));
    assert!(closed(state.decide_ticket("3k9mz0ta", Outcome::Approved, Scope::Once)).contains("it was "));
}

#[test]
fn what_is_late_or_left_cannot_be_approved() {
    let (_dir, state) = state();
    let run = state.create_run().unwrap();
    let tickets = Tickets::make(run.folder()).unwrap();
    for (id, expires) in [("00000001", "2001-01-01T00:00:00Z"), ("00000002", "soon"), ("00000003", LATER)] {
        tickets.create(&ticket(id, run.id(), expires)).unwrap();
    }
    for late in ["00000001", "00000002"] {
        let why = closed(state.decide_ticket(late, Outcome::Approved, Scope::Once));
        assert!(why.contains("its time was over"), "{why}");
    }
    drop(run);
    let why = closed(state.decide_ticket("00000003", Outcome::Approved, Scope::Once));
    assert!(why.contains("has ended"), "{why}");
    assert!(state.tickets().unwrap().0.iter().all(|found| found.standing == Standing::Left));
}

#[test]
fn what_is_half_written_planted_or_about_something_else_decides_nothing() {
    let (dir, state) = state();
    let run = state.create_run().unwrap();
    let tickets = Tickets::make(run.folder()).unwrap();
    let sha = ticket("00000000", run.id(), LATER).arguments_sha256;
    let folder = dir.path().join("agentrc/runs").join(run.id()).join("approvals");
    let good = Decision {
        format: FORMAT,
        ticket: "00000000".to_owned(),
        arguments_sha256: sha.clone(),
        outcome: Outcome::Approved,
        scope: Scope::Run { count: Some(2) },
        by: None,
        reason: None,
        decided: agentrc_audit::line::now(),
    };
    tickets.decide(&good).unwrap();
    assert_eq!(tickets.decision("00000000", &sha).unwrap(), Some(good));
    let whole = std::fs::read(folder.join("00000000.decision")).unwrap();
    // About other arguments.
    assert!(matches!(tickets.decision("00000000", &"0".repeat(64)), Err(Error::Ticket { .. })));
    let plant = |id: &str, bytes: &[u8]| {
        let path = folder.join(format!("{id}.decision"));
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    };
    for (id, length) in
        [("00000001", 0), ("00000002", 1), ("00000003", whole.len() / 2), ("00000004", whole.len() - 3)]
    {
        plant(id, &whole[..length]);
        assert!(matches!(tickets.decision(id, &sha), Err(Error::Ticket { .. })), "{length}");
    }
    // Whole, and another ticket's.
    plant("00000005", &whole);
    assert!(matches!(tickets.decision("00000005", &sha), Err(Error::Ticket { .. })));
    // A link to a good one, a hard link, a folder, one that others can write.
    symlink("00000000.decision", folder.join("00000006.decision")).unwrap();
    std::fs::hard_link(folder.join("00000001.decision"), folder.join("00000007.decision")).unwrap();
    std::fs::create_dir(folder.join("00000008.decision")).unwrap();
    plant("00000009", &whole);
    std::fs::set_permissions(folder.join("00000009.decision"), PermissionsExt::from_mode(0o666)).unwrap();
    for id in ["00000006", "00000007", "00000008", "00000009"] {
        assert!(matches!(tickets.decision(id, &sha), Err(Error::Kept(_))), "{id}");
    }
    // One of another user, which only root can plant.
    if rustix::process::geteuid().is_root() {
        plant("0000000a", &whole);
        std::os::unix::fs::chown(folder.join("0000000a.decision"), Some(1), None).unwrap();
        assert!(matches!(tickets.decision("0000000a", &sha), Err(Error::Kept(_))));
    }
    // A draft that was left is no ticket, and a damaged one hides no other.
    tickets.create(&ticket("0000000b", run.id(), LATER)).unwrap();
    std::fs::write(folder.join(".0000000c.json.aa"), b"{").unwrap();
    let mut other = ticket("0000000d", run.id(), LATER);
    other.arguments = "{}".to_owned();
    tickets.create(&other).unwrap();
    tickets.create(&ticket("0000000e", "20260101-000000-0000", LATER)).unwrap();
    let (found, wrong) = state.tickets().unwrap();
    let ids: Vec<_> = found.iter().map(|found| found.ticket.id.as_str()).collect();
    assert_eq!((ids, wrong.len()), (vec!["0000000b"], 2), "{wrong:?}");
}

#[test]
fn a_folder_that_others_see_or_a_link_in_its_place_is_refused() {
    let (dir, state) = state();
    let run = state.create_run().unwrap();
    let folder = dir.path().join("agentrc/runs").join(run.id()).join("approvals");
    assert!(Tickets::find(run.folder()).unwrap().is_none());
    symlink(dir.path(), &folder).unwrap();
    assert!(Tickets::find(run.folder()).is_err() && Tickets::make(run.folder()).is_err());
    std::fs::remove_file(&folder).unwrap();
    Tickets::make(run.folder()).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(Tickets::find(run.folder()).is_err() && Tickets::make(run.folder()).is_err());
}

#[test]
fn a_run_can_be_made_while_somebody_looks_for_tickets() {
    let (_dir, state) = state();
    let looking = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let (state, looking) = (&state, &looking);
        scope.spawn(move || {
            while looking.load(std::sync::atomic::Ordering::Relaxed) {
                state.tickets().unwrap();
            }
        });
        let made: Result<Vec<_>, _> = (0..200).map(|_| state.create_run().map(drop)).collect();
        looking.store(false, std::sync::atomic::Ordering::Relaxed);
        made.unwrap();
    });
}
