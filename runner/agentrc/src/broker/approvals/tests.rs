//! A broker that was taken over: what it says of approvals is compared with what was approved.

use agentrc_audit::Event;
use agentrc_jail::Reply;

use super::*;

/// Keeps the names of events, or fails.
#[derive(Default)]
struct Log(Vec<Event>, bool);

impl Recorder for Log {
    fn open(&mut self) -> Result<(), agentrc_jail::Unopened> {
        Ok(())
    }

    fn record(&mut self, event: &Event) -> Result<(), String> {
        if self.1 {
            return Err("full".to_owned());
        }
        self.0.push(event.clone());
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        Ok(())
    }
}

struct World {
    _folder: tempfile::TempDir,
    _run: Run,
    approvals: Approvals,
    log: Log,
}

fn world(none: bool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let place = agentrc_host::state::Place {
        base: folder.path().to_owned(),
        beneath: "agentrc".into(),
        make_base: false,
    };
    let run = agentrc_host::StateDir::open(&place).unwrap().create_run().unwrap();
    let operator = Operator { asks: Vec::new(), untrusted: agentrc_broker::judge::Untrusted::Unsaid };
    let asking = Asking { expiry: Duration::from_secs(60), none, quiet: true };
    let mut approvals = Approvals::new(&run, &crate::sample::plan(), &operator, asking).unwrap();
    // The host asks about the program of the second entry.
    approvals.insisted = vec![false, true];
    World { _folder: folder, _run: run, approvals, log: Log::default() }
}

const ARGUMENTS: &str = "{\"a\":1}";

fn question(act: &str, arguments: &str) -> String {
    let asking = vec![("why".to_owned(), "ask".to_owned(), "Agentfile:3:1".to_owned())];
    let asked =
        Asked { act: act.to_owned(), arguments: arguments.to_owned(), effect: None, asking, entry: Some(1) };
    serde_json::to_string(&asked).unwrap()
}

fn call(asked: Option<u64>, entry: usize, act: &str, arguments: &str) -> Call {
    Call {
        id: 1,
        act: act.to_owned(),
        arguments: arguments.to_owned(),
        arguments_sha256: Digest::of(arguments.as_bytes()).to_string(),
        rule: String::new(),
        pid: 1,
        asked,
        entry: Some(entry),
    }
}

impl World {
    fn ask(&mut self, number: u64) -> Option<Order> {
        self.approvals.part(&question("call probe", ARGUMENTS)).unwrap();
        self.approvals.ask(number, None, &mut self.log).unwrap()
    }

    fn look(&mut self) -> Vec<Order> {
        self.approvals.look(&mut self.log).unwrap()
    }
}

#[test]
fn what_the_host_asks_about_is_not_started_unapproved_nor_twice_nor_as_something_else() {
    let mut world = world(false);
    assert!(world.approvals.used(&call(None, 0, "call other", "{}")).is_ok());
    assert!(world.approvals.used(&call(None, 1, "call probe", ARGUMENTS)).is_err());
    assert!(world.approvals.used(&call(Some(7), 1, "call probe", ARGUMENTS)).is_err(), "never asked");
    for (number, entry, act, arguments, holds) in [
        (1, 1, "call probe", ARGUMENTS, true),
        (2, 1, "call probe", "{\"a\":2}", false),
        (3, 1, "call other", ARGUMENTS, false),
        (4, 0, "call probe", ARGUMENTS, false),
        (5, 9, "call probe", ARGUMENTS, false),
    ] {
        assert_eq!(world.ask(number), None);
        assert!(world.approvals.used(&call(Some(number), entry, act, arguments)).is_err(), "not yet");
        assert_eq!(world.approvals.reply(number, Reply::Once), "approved");
        assert!(matches!(world.look()[..], [Order::Approved { .. }]));
        assert_eq!(world.approvals.used(&call(Some(number), entry, act, arguments)).is_ok(), holds);
        assert!(world.approvals.used(&call(Some(number), 1, "call probe", ARGUMENTS)).is_err(), "again");
    }
}

#[test]
fn what_is_not_on_record_takes_no_effect() {
    let mut world = world(false);
    assert_eq!(world.ask(1), None);
    assert_eq!(world.approvals.reply(1, Reply::Run), "approved");
    world.log.1 = true;
    assert!(world.approvals.look(&mut world.log).is_err());
    assert!(world.approvals.used(&call(Some(1), 1, "call probe", ARGUMENTS)).is_err());
    world.approvals.part(&question("call probe", ARGUMENTS)).unwrap();
    assert!(world.approvals.ask(2, None, &mut world.log).is_err());
    assert!(world.approvals.pending.is_empty() && world.approvals.standing.is_empty());
}

#[test]
fn a_question_that_is_none_ends_the_run() {
    for text in ["", "{", "{\"act\":\"a\",\"arguments\":\"{}\",\"effect\":null,\"asking\":[]}", "[]"] {
        let mut world = world(false);
        world.approvals.part(text).unwrap();
        assert!(world.approvals.ask(1, None, &mut world.log).is_err(), "{text}");
    }
    let mut world = world(false);
    let part = "x".repeat(LONGEST_ASKED / 2);
    assert!(world.approvals.part(&part).is_ok() && world.approvals.part(&part).is_ok());
    assert!(world.approvals.part("x").is_err());
    let mut world = self::world(false);
    assert_eq!(world.ask(1), None);
    world.approvals.part(&question("call probe", ARGUMENTS)).unwrap();
    assert!(world.approvals.ask(1, None, &mut world.log).is_err(), "the number of one that waits");
}

#[test]
fn tickets_are_bounded_and_what_is_taken_back_is_closed() {
    let mut world = world(false);
    for number in 0..PENDING as u64 {
        assert_eq!(world.ask(number), None);
    }
    assert!(matches!(world.ask(100), Some(Order::Refused { number: 100, .. })));
    let order = world.approvals.withdraw(0, &mut world.log).unwrap();
    assert!(matches!(order, Some(Order::Refused { number: 0, .. })));
    assert_eq!(world.approvals.withdraw(0, &mut world.log).unwrap(), None);
    assert_eq!(world.approvals.reply(0, Reply::Once), "too late");
    assert_eq!(world.ask(101), None);
    world.approvals.made = TICKETS;
    world.approvals.withdraw(101, &mut world.log).unwrap();
    assert!(
        matches!(world.ask(102), Some(Order::Refused { reason, .. }) if reason.contains("has asked 1000"))
    );
    world.approvals.end(&mut world.log).unwrap();
    assert!(matches!(world.ask(103), Some(Order::Refused { reason, .. }) if reason.contains("the run ends")));
    assert!(world.approvals.pending.is_empty());
    let ended = world
        .log
        .0
        .iter()
        .filter(|event| matches!(event, Event::Decided { outcome, .. } if outcome == "denied"));
    assert_eq!(ended.count(), PENDING + 1);
}

/// The clock of waiting stands still while a host is asleep; that of the ticket does not.
#[test]
fn what_a_ticket_says_of_its_end_holds_for_the_terminal_too() {
    let mut world = world(false);
    assert_eq!(world.ask(1), None);
    assert!(world.look().is_empty(), "control: it waits");
    world.approvals.pending.get_mut(&1).unwrap().ticket.expires = "2020-01-01T00:00:00Z".to_owned();
    assert_eq!(world.approvals.reply(1, Reply::Once), "too late");
    assert!(matches!(world.look()[..], [Order::Refused { number: 1, .. }]));
    assert!(matches!(world.log.0.last(), Some(Event::Decided { outcome, .. }) if outcome == "expired"));
}

#[test]
fn nobody_is_asked_where_nobody_is_to_be() {
    let mut world = world(true);
    assert!(matches!(world.ask(1), Some(Order::Refused { reason, .. }) if reason.contains("--approve-none")));
    assert!(matches!(world.log.0[..], [Event::Asked { .. }, Event::Decided { .. }]));
}
