//! A run on a terminal asks there, and takes no key for an answer that was not one.

use std::time::Duration;

use agentrc_test_support::outcome::within;
use agentrc_test_support::{Lab, Terminal, as_each};

use crate::support::*;

/// The agent sees in `/work` what the test puts into its folder `work`.
fn on_terminal(lab: &Lab, code: &str) -> Terminal {
    lab.directory(lab.project("work"));
    let agentfile = prepare(lab, &format!("{ASKED}BIND ./work /work rw\n"), code);
    Terminal::run(lab, &lab.binary(), &["run", &agentfile.to_string_lossy()])
}

/// Longer than a prompt is deaf for.
fn pause() {
    std::thread::sleep(Duration::from_millis(700));
}

/// Types a key until it is taken: one that is read too soon after what came before answers nothing.
#[track_caller]
fn answer(lab: &Lab, terminal: &mut Terminal, key: &str) {
    let taken = within(Duration::from_secs(40), || {
        terminal.type_in(key);
        within(Duration::from_secs(2), || waiting_here(lab) == 0)
    });
    assert!(taken, "as {}: {}", lab.who.name, terminal.screen());
}

/// Waits until the test says so, and leaves the terminal's keys alone.
const GO: &str = "import time\nwhile not os.path.exists('/work/go'): time.sleep(0.01)\n";
const PROMPT: &str = "[n] deny (default): ";

#[test]
fn a_key_approves_denies_or_approves_for_the_run() {
    as_each(AGENTRC, |lab| {
        let code = "b = Broker()\nfor n in [1, 2, 3, 3, 4]: say(n, b.call('probe', n=n)[:7])\nprint('end', flush=True)";
        let mut terminal = on_terminal(lab, code);
        for (shown, key, answer) in [
            ("{\"n\":1}", "y", "1 ok"),
            ("{\"n\":2}", "n", "2 refused"),
            ("{\"n\":3}", "a", "3 ok"),
            ("{\"n\":4}", "\r", "4 refused"),
        ] {
            terminal.wait_for(shown);
            let screen = terminal.screen();
            assert!(
                screen.contains("it probes") && screen.contains("ask [Agentfile:4:"),
                "as {}: {screen}",
                lab.who.name
            );
            pause();
            terminal.type_in(key);
            terminal.wait_for(answer);
        }
        terminal.wait_for("end");
        let (outcome, screen) = terminal.finish();
        outcome.expect_code(0);
        assert_eq!(screen.matches(PROMPT).count(), 4, "{screen}");
        assert_eq!(screen.matches("3 ok").count(), 2, "{screen}");
        let words: Vec<_> =
            decided(&outcome).into_iter().map(|(word, scope, _)| format!("{word} {scope}")).collect();
        assert_eq!(words, ["approved once", "denied ", "approved run", "approved run", "denied "]);
        assert!(decided(&outcome).iter().all(|(_, _, by)| *by == Some(u64::from(lab.who.uid))));
    });
}

#[test]
fn what_was_typed_ahead_or_comes_from_the_terminal_itself_answers_nothing() {
    as_each(AGENTRC, |lab| {
        // The agent is told to ask only once the keys are typed.
        let code = format!("say('ready')\n{GO}say(Broker().call('probe', n=1)[:7])");
        let mut terminal = on_terminal(lab, &code);
        terminal.wait_for("ready");
        terminal.type_in("yyyaaa");
        terminal.wait_for("yyyaaa");
        lab.file(lab.project("work/go"), "");
        terminal.wait_for(PROMPT);
        // What xterm answers when a program asks for the title of its window, and a key with it: for how long a question is deaf
        // afterwards, and at first, is measured where it is asked (`prompt.rs`).
        terminal.type_in("\u{1b}]ly\u{1b}\\y");
        pause();
        // A paste.
        terminal.type_in("yes\r");
        pause();
        assert!(
            !terminal.screen().contains("1 ok") && !terminal.screen().contains("approved"),
            "as {}: {}",
            lab.who.name,
            terminal.screen()
        );
        assert_eq!(waiting_here(lab), 1);
        answer(lab, &mut terminal, "n");
        let (outcome, screen) = terminal.finish();
        assert!(screen.contains("refused"), "{screen}");
        assert_eq!(decided(&outcome)[0].0, "denied");
    });
}

#[test]
fn nothing_of_the_agents_passes_while_it_asks_and_another_terminal_may_decide() {
    as_each(AGENTRC, |lab| {
        let code = format!(
            "import threading\nt = threading.Thread(target=lambda: say(Broker().call('probe', n=1)[:7]))\nt.start()\n\
             {GO}say('drawn over')\nopen('/work/drawn', 'w').close()\nt.join()"
        );
        let terminal = on_terminal(lab, &code);
        terminal.wait_for(PROMPT);
        lab.file(lab.project("work/go"), "");
        assert!(within(Duration::from_secs(20), || lab.project("work/drawn").exists()), "control");
        std::thread::sleep(Duration::from_secs(1));
        assert!(!terminal.screen().contains("drawn over"), "as {}: {}", lab.who.name, terminal.screen());
        approvals(lab, &["approve", &one_here(lab)]).expect_code(0);
        terminal.wait_for("no more to be decided here");
        terminal.wait_for("drawn over");
        let (outcome, screen) = terminal.finish();
        outcome.expect_code(0);
        assert!(screen.contains("ok "), "{screen}");
    });
}

#[test]
fn what_is_too_long_to_be_seen_is_not_approved_there() {
    as_each(AGENTRC, |lab| {
        let mut terminal = on_terminal(lab, "say(Broker().call('probe', a='x' * 5000)[:7])");
        terminal.wait_for(PROMPT);
        assert!(
            terminal.screen().contains("It is too long for here") && !terminal.screen().contains("[y] once")
        );
        pause();
        terminal.type_in("y");
        pause();
        assert_eq!(waiting_here(lab), 1, "as {}", lab.who.name);
        answer(lab, &mut terminal, "\u{3}");
        let (outcome, _) = terminal.finish();
        assert_eq!(decided(&outcome)[0].0, "denied");
    });
}
