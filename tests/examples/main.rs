//! Every example behaves as the comments in its Agentfile say. Each is run in a copy of its folder, by the command line that
//! it names, as root and as an ordinary user.

#![allow(clippy::expect_used)]

mod agent_loop;

use std::fs;
use std::path::{Path, PathBuf};

use agentrc_test_support::leftovers::snapshot;
use agentrc_test_support::outcome::Child;
use agentrc_test_support::{Lab, Outcome, Terminal, World, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Copies an example into the lab, for the lab's identity.
fn example(lab: &Lab, name: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let to = lab.project(name);
    lab.copy(&from, &to);
    to
}

fn run(lab: &Lab, folder: &Path) -> Outcome {
    lab.finish_command(lab.agentrc(["run".as_ref(), folder.as_os_str()]))
}

#[track_caller]
fn says(lab: &Lab, outcome: &Outcome, lines: &[&str]) {
    for line in lines {
        assert!(
            outcome.out().contains(line),
            "as {}: `{line}` is not in\n{}\n{}",
            lab.who.name,
            outcome.out(),
            outcome.stderr
        );
    }
    assert!(!outcome.out().contains("allowed:"), "as {}: {}", lab.who.name, outcome.out());
}

#[test]
fn hello() {
    as_each(AGENTRC, |lab| {
        let outcome = run(lab, &example(lab, "hello"));
        outcome.expect_code(0);
        says(
            lab,
            &outcome,
            &[
                "hello from ",
                "in /agentrc/src",
                "files beside me: hello.sh\n",
                "denied: cat /etc/shadow\n",
                "denied: touch /usr/bin/planted\n",
                "denied: sh -c : > /agentrc/src/hello.sh\n",
            ],
        );
    });
}

#[test]
fn tools() {
    as_each(AGENTRC, |lab| {
        let outcome = run(lab, &example(lab, "tools"));
        outcome.expect_code(0);
        says(
            lab,
            &outcome,
            &[
                "{\"key\":\"run\",\"version\":1}\n",
                "\"content\":\"buy milk\\nwrite the report\\n\"",
                "{\"lines\":2}\nexit code 77\nexit code 77\n",
                "\"text\":\"began\"",
            ],
        );
        let calls: Vec<_> =
            outcome.events_named("broker.call").iter().filter_map(|call| call.get("act")?.as_str()).collect();
        let wanted = [
            "call memory.write log",
            "call file_read /notes/today",
            "call count /notes/today",
            "call memory.write log",
            "call memory.read log",
        ];
        assert_eq!(calls, wanted, "as {}", lab.who.name);
        let shown = lab.finish_command(lab.agentrc(["audit", "show", "latest"])).out();
        for words in [
            "call 1: memory.write log",
            "result 3: count /notes/today ok",
            "denied call file_read /etc/passwd",
        ] {
            assert!(shown.contains(words), "as {}: {shown}", lab.who.name);
        }
        let why = lab.finish_command(lab.agentrc(["why", "latest"])).out();
        assert!(why.contains("call file_read /etc/passwd"), "as {}: {why}", lab.who.name);
    });
}

#[test]
fn python_agent() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "python-agent");
        let outcome = run(lab, &folder);
        outcome.expect_code(0);
        let log = "count the words of this line: 6 words\nleave a mark: denied\ncall home: denied\n";
        assert_eq!(outcome.out(), log, "as {}: {}", lab.who.name, outcome.stderr);
        assert_eq!(fs::read_to_string(folder.join("notes/log.txt")).expect("the log"), log);
    });
}

#[test]
fn code_review() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "code-review");
        let git = |words: &[&str]| {
            let mut command = lab.command("git");
            command.arg("-C").arg(folder.join("repository")).args(words);
            lab.finish_command(command)
        };
        git(&["init", "-q"]).expect_code(0);
        let names = |part: &str| {
            snapshot(&folder.join("repository"))
                .into_keys()
                .filter(|path| path.starts_with(part))
                .collect::<Vec<_>>()
        };
        let (hooks, config) =
            (names(".git/hooks"), fs::read(folder.join("repository/.git/config")).expect("config"));
        let outcome = run(lab, &folder);
        outcome.expect_code(0);
        says(
            lab,
            &outcome,
            &[
                "src/divide.c:2:    // TODO: check for zero",
                "committed: Check for zero\n",
                "denied: echo",
                "denied: git config",
                "denied: mv .git",
            ],
        );
        assert_eq!(outcome.out().matches("denied:").count(), 4, "{}", outcome.out());
        assert_eq!(hooks, names(".git/hooks"), "as {}: a hook was planted", lab.who.name);
        assert_eq!(config, fs::read(folder.join("repository/.git/config")).expect("config"));
        assert!(!folder.join("repository/.envrc").exists(), "as {}: .envrc", lab.who.name);
        assert!(git(&["log", "--format=%s"]).out().contains("Check for zero"), "the commit is on the host");
        let again = run(lab, &folder);
        again.expect_code(0);
        says(lab, &again, &["to do:\nnothing\n", "denied: mv .git"]);
    });
}

#[test]
fn code_review_fails_when_its_commit_does() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "code-review");
        let repository = folder.join("repository");
        let mut init = lab.command("git");
        init.arg("-C").arg(&repository).args(["init", "-q"]);
        lab.finish_command(init).expect_code(0);
        let fails = |why: &str, word: &str| {
            let outcome = run(lab, &folder);
            assert_ne!(outcome.code(), 0, "as {}: {why}: {}", lab.who.name, outcome.out());
            assert!(outcome.stderr.contains(word), "as {}: {why}: {}", lab.who.name, outcome.stderr);
            for word in ["committed", "denied", "allowed"] {
                assert!(!outcome.out().contains(word), "as {}: {why}: {}", lab.who.name, outcome.out());
            }
        };
        lab.file(repository.join(".git/index.lock"), "");
        fails("another git works on it", "index.lock");
        fs::remove_file(repository.join(".git/index.lock")).expect("remove");
        if lab.who.uid == 0 {
            let mut chown = lab.command("chown");
            chown.args(["-R", "65534:65534"]).arg(&repository);
            lab.finish_command(chown).expect_code(0);
            fails("it belongs to another user", "Permission denied");
        }
    });
}

#[test]
fn claude_style() {
    const VALUE: &str = "sk-proj-0123456789abcdefABCDEF0123456789";
    as_each(AGENTRC, |lab| {
        // There is no internet here: the test's own machine answers for api.openai.com.
        let world = World::new(lab);
        let folder = example(lab, "claude-style");
        let mut agentrc = lab.agentrc(["run".as_ref(), "--grant".as_ref(), folder.as_os_str()]);
        agentrc.env("OPENAI_API_KEY", VALUE);
        let outcome = lab.finish_command(agentrc);
        outcome.expect_code(0);
        says(
            lab,
            &outcome,
            &[
                "my key: sk-",
                "asked api.openai.com: 200\nhello from /v1/chat/completions\n",
                "denied: the key to an undeclared host: ",
                "denied: the key to another host: 403 agentrc: ",
                "denied: the key in a body: 403 agentrc: ",
            ],
        );
        assert!(!outcome.out().contains(VALUE), "as {}: the agent has the key", lab.who.name);
        let placeholder =
            outcome.out().lines().find_map(|line| line.strip_prefix("my key: ").map(str::to_owned));
        let placeholder = placeholder.expect("the placeholder");
        let requests = world.requests();
        let key = |one: &agentrc_test_support::world::Request| {
            one.headers.get("authorization").and_then(|key| key.to_str().ok()).unwrap_or("").to_owned()
        };
        let seen: Vec<_> =
            requests.iter().map(|one| format!("{} {} {}", one.host, one.target, key(one))).collect();
        let asked = format!("api.openai.com /v1/chat/completions Bearer {VALUE}");
        // A request whose body is denied breaks off where the placeholder begins.
        let broken_off = "api.openai.com /v1/files ";
        assert!(
            seen == [asked.as_str()] || seen == [asked.as_str(), broken_off],
            "as {}: {seen:?}",
            lab.who.name
        );
        for one in requests {
            let body = String::from_utf8_lossy(&one.body);
            assert!(!body.contains(&placeholder) && !body.contains(VALUE), "as {}: {body}", lab.who.name);
        }
    });
}

#[test]
fn build_c() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "build-c");
        let before = snapshot(&folder);
        let outcome = run(lab, &folder);
        outcome.expect_code(0);
        says(lab, &outcome, &["6 * 7 = 42\n"]);
        assert_eq!(before, snapshot(&folder), "as {}: something was built on the host", lab.who.name);
    });
}

#[test]
fn copy_review() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "copy-review");
        let before = snapshot(&folder);
        let outcome = run(lab, &folder);
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "about.html\nindex.html\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert_eq!(before, snapshot(&folder), "as {}: the host was touched before `apply`", lab.who.name);
        let diff = lab.finish_command(lab.agentrc(["diff", &lab.last_run()]));
        for word in ["index.html", "draft.html", "about.html", "open"] {
            assert!(
                diff.out().contains(word),
                "as {}: `{word}` in {}\n{}",
                lab.who.name,
                diff.out(),
                diff.stderr
            );
        }
        lab.finish_command(lab.agentrc(["apply", &lab.last_run()])).expect_code(0);
        assert_eq!(fs::read_to_string(folder.join("site/index.html")).expect("index"), "<p>open</p>\n");
        assert!(folder.join("site/about.html").exists() && !folder.join("site/draft.html").exists());
    });
}

#[test]
fn shell() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "shell");
        let mut terminal = Terminal::run(lab, &lab.binary(), &["run", folder.to_str().expect("text")]);
        terminal.wait_for("bash-");
        terminal.type_in("pwd; ls -A ~ | wc -l; echo kept > x; cat x\n");
        terminal.wait_for("kept\r\n");
        // Job control: stop a job, see it, continue it.
        terminal.type_in("sh -c 'echo runs; exec sleep 60'\n");
        terminal.wait_for("runs\r\n");
        terminal.type_in("\u{1a}");
        terminal.wait_for("Stopped");
        // `wait` would not wait for a job that is still stopped when it looks.
        terminal.type_in("kill %1; fg; echo gone\n");
        terminal.wait_for("gone\r\n");
        terminal.type_in("exit 5\n");
        let (outcome, screen) = terminal.finish();
        outcome.expect_code(5);
        assert!(screen.contains("/work\r\n0\r\n"), "as {}: {screen}", lab.who.name);
        assert!(!screen.contains("no job control"), "as {}: {screen}", lab.who.name);
    });
}

#[test]
fn skill() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "skill");
        let text = "/agentrc/skills/check-links/references/example.md";
        let found = format!(
            "{text}:5: not https: http://example.com/\n{text}:5: no target: \n5 links, 2 of them not well-formed\n"
        );
        let outcome = run(lab, &folder);
        outcome.expect_code(1);
        assert_eq!(outcome.out(), found, "as {}: {}", lab.who.name, outcome.stderr);
        let alone = folder.join("check-links");
        // Not in /tmp, where other tests look for what is left.
        let alone = |words: &[&str]| {
            let mut command = lab.agentrc(["skill".as_ref(), "run".as_ref(), alone.as_os_str()]);
            command.args(words).env("TMPDIR", lab.path("home"));
            command
        };
        let outcome = lab.finish_command(alone(&["--", text]));
        outcome.expect_code(1);
        assert_eq!(outcome.out(), found, "as {}: {}", lab.who.name, outcome.stderr);
        let mut child = Child::start(lab, alone(&[]));
        child.send("[good](https://example.com/)\n");
        child.close_input();
        let outcome = child.finish();
        outcome.expect_code(0);
        assert_eq!(outcome.out(), "1 links, 0 of them not well-formed\n");
    });
}

#[test]
fn refused() {
    as_each(AGENTRC, |lab| {
        let folder = example(lab, "refused");
        let outcome = run(lab, &folder);
        outcome.expect_code(125);
        assert_eq!(outcome.out(), "");
        let text = fs::read_to_string(folder.join("Agentfile")).expect("Agentfile");
        for word in ["TRACE", "TOOL", "RATELIMIT"] {
            let line = text.lines().position(|line| line.starts_with(word)).expect("the line") + 1;
            assert!(
                outcome.stderr.contains(&format!("Agentfile:{line}:")),
                "as {}: line {line} is not named: {}",
                lab.who.name,
                outcome.stderr
            );
        }
    });
}

#[test]
fn every_example_has_a_test_and_says_what_happens() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/examples");
    let here: String = fs::read_dir(here)
        .expect("the tests")
        .map(|file| fs::read_to_string(file.expect("an entry").path()).expect("a test's text"))
        .collect();
    let folders =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")).expect("examples");
    let mut count = 0;
    for folder in folders.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()) {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("Agentfile")).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(here.contains(&format!("fn {}()", name.replace('-', "_"))), "{name} has no test");
        assert!(
            text.contains(&format!("agentrc run examples/{name}"))
                && (text.contains("xit code") || text.contains("returns 125")),
            "{name} does not say what happens"
        );
        count += 1;
    }
    assert!(count >= 6);
}
