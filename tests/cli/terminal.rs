//! On a terminal: colour, questions, and the line that says what to do next.

use agentrc_test_support::{Lab, Terminal, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

fn asking(lab: &Lab) -> String {
    lab.script(lab.project("go.sh"), "cat /out/secret\n");
    let outside = lab.outside("");
    lab.agentfile(&format!("AGENT asks\nBIND {} /out ro\nCMD /bin/sh ./go.sh\n", outside.display()))
        .display()
        .to_string()
}

/// `agentrc` with these words and one variable more, on a terminal, to its end.
fn screen(lab: &Lab, variable: &str, words: &str) -> String {
    let wrapper = lab.path("wrapper");
    lab.script(&wrapper, &format!("#!/bin/sh\n{variable} {} {words}\necho [over]\n", lab.binary().display()));
    let terminal = Terminal::run(lab, &wrapper, &[]);
    // Whoever reads the screen may be later than the end of what wrote to it.
    terminal.wait_for("[over]");
    terminal.finish().1
}

#[test]
fn consent_is_asked_for_after_what_is_asked_is_shown_and_holds_once() {
    as_each(AGENTRC, |lab| {
        let agentfile = asking(lab);
        for (answer, code) in [("y\n", 0), ("n\n", 125), ("\n", 125), ("yes\n", 0), ("yesterday\n", 125)] {
            let mut terminal = Terminal::run(lab, &lab.binary(), &["run", &agentfile]);
            terminal.wait_for("[y/N]");
            let shown = terminal.screen();
            assert!(shown.contains("/outside`") && shown.contains("Agentfile:2:"), "{shown}");
            terminal.type_in(answer);
            let (outcome, screen) = terminal.finish();
            assert_eq!(outcome.code(), code, "{answer:?}: {screen}");
            assert_eq!(screen.contains(&lab.secret), code == 0, "{answer:?}: {screen}");
        }
    });
}

#[test]
fn what_was_typed_before_the_question_is_no_answer() {
    as_each(AGENTRC, |lab| {
        let agentfile = asking(lab);
        // agentrc starts when the line was typed.
        let (wrapper, typed) = (lab.path("late"), lab.path("typed"));
        lab.script(
            &wrapper,
            &format!(
                "#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.05; done\nexec {} run {agentfile}\n",
                typed.display(),
                lab.binary().display()
            ),
        );
        let mut terminal = Terminal::run(lab, &wrapper, &[]);
        terminal.type_in("y\n");
        terminal.wait_for("y\r\n");
        lab.file(typed, "");
        terminal.wait_for("[y/N]");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!terminal.screen().contains(&lab.secret), "as {}: it was taken for consent", lab.who.name);
        terminal.type_in("n\n");
        let (outcome, _) = terminal.finish();
        assert_eq!(outcome.code(), 125);
    });
}

#[test]
fn allow_asks_and_records_only_a_yes() {
    as_each(AGENTRC, |lab| {
        let agentfile = asking(lab);
        for (answer, code, runs) in [("n\n", 1, 125), ("y\n", 0, 0)] {
            let mut terminal = Terminal::run(lab, &lab.binary(), &["allow", &agentfile]);
            terminal.wait_for("[y/N]");
            terminal.type_in(answer);
            let (outcome, screen) = terminal.finish();
            assert_eq!(outcome.code(), code, "{screen}");
            assert_eq!(lab.finish_command(lab.agentrc(["run", &agentfile])).code(), runs);
        }
    });
}

#[test]
fn colour_is_for_terminals_and_no_color_turns_it_off() {
    as_each(AGENTRC, |lab| {
        let agentfile = lab.agentfile("BOGUS\n").display().to_string();
        let check = format!("check {agentfile}");
        assert!(screen(lab, "", &check).contains("\u{1b}["), "as {}: colour on a terminal", lab.who.name);
        for variable in ["NO_COLOR=1", "NO_COLOR=anything", "TERM=dumb"] {
            let shown = screen(lab, variable, &check);
            assert!(
                shown.contains("BOGUS") && !shown.contains('\u{1b}'),
                "as {}: {variable}: {shown:?}",
                lab.who.name
            );
        }
        assert!(screen(lab, "NO_COLOR=", &check).contains("\u{1b}["), "an empty value is none");
    });
}

#[test]
fn after_a_run_that_changed_its_copy_a_person_is_told_what_to_do() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/x"), "x\n");
        lab.script(lab.project("go.sh"), "[ -z \"$1\" ] || echo y > /data/x\n");
        let agentfile = lab
            .agentfile("AGENT copies\nBIND ./data /data copy\nCMD /bin/sh ./go.sh\n")
            .display()
            .to_string();
        let shown = screen(lab, "", &format!("run {agentfile} -- change"));
        assert!(shown.contains("1 path changed; review with agentrc diff"), "as {}: {shown}", lab.who.name);
        for quiet in [format!("run {agentfile}"), format!("run --quiet {agentfile} -- change")] {
            let shown = screen(lab, "", &quiet);
            assert!(!shown.contains("agentrc"), "as {}: {shown}", lab.who.name);
        }
    });
}

#[test]
fn discard_asks_on_a_terminal() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/x"), "x\n");
        lab.script(lab.project("go.sh"), "echo y > /data/x\n");
        lab.run("AGENT copies\nBIND ./data /data copy\nCMD /bin/sh ./go.sh\n").expect_code(0);
        let mut terminal = Terminal::run(lab, &lab.binary(), &["discard", "latest"]);
        terminal.wait_for("[y/N]");
        terminal.type_in("n\n");
        assert_eq!(terminal.finish().0.code(), 1);
        assert!(lab.finish_command(lab.agentrc(["diff", "latest"])).out().contains("M /data/x"));
        lab.finish_command(lab.agentrc(["discard", "latest", "--yes"])).expect_code(0);
    });
}

#[test]
fn nobody_is_asked_when_there_is_nothing_to_lose() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("data/x"), "x\n");
        lab.script(lab.project("go.sh"), "[ -z \"$1\" ] || echo y > /data/x\n");
        lab.run("AGENT copies\nBIND ./data /data copy\nCMD /bin/sh ./go.sh\n").expect_code(0);
        // A question would wait for an answer, and `screen` would not come to its end.
        for (words, said) in [
            ("apply latest", "there is nothing to apply"),
            ("discard latest", "discarded the copy"),
            ("discard latest", "has no copies"),
            ("apply latest", "there is nothing to apply"),
        ] {
            let shown = screen(lab, "", words);
            assert!(
                shown.contains(said) && !shown.contains("[y/N]"),
                "as {}: {words}: {shown}",
                lab.who.name
            );
        }
        // And somebody is, about what was chosen.
        let agentfile = lab.project("Agentfile").display().to_string();
        lab.finish_command(lab.agentrc(["run", &agentfile, "--", "change"])).expect_code(0);
        let mut terminal = Terminal::run(lab, &lab.binary(), &["apply", "latest", "/data/x"]);
        terminal.wait_for("write 1 change to the host's files? [y/N]");
        terminal.type_in("n\n");
        assert_eq!(terminal.finish().0.code(), 1);
    });
}
