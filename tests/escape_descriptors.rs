//! Files: what the caller has open, what a line hides within a wider bind, and agentrc's own files stay out of reach.
//! (`shared/attacks.md`, "Files".)

use std::fs;
use std::os::unix::ffi::OsStrExt;

use agentrc_test_support::attempt::in_session;
use agentrc_test_support::leftovers::snapshot;
use agentrc_test_support::session::word;
use agentrc_test_support::{Attempt, Control, Sign, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

#[test]
fn descriptors_of_the_caller_are_closed() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        let agentfile = lab.agentfile("AGENT descriptors\nCMD ./attack serve\n");
        // A shell that has the secret and the folder outside open, and starts the program with both.
        let with_descriptors = |program: &str| {
            let mut command = lab.command("/bin/sh");
            let (secret, folder) = (lab.outside("secret"), lab.outside(""));
            command.args([
                "-c",
                &format!(
                    "exec 7<{} 8<{} 9<>{}; exec {program}",
                    secret.display(),
                    folder.display(),
                    lab.outside("canary").display()
                ),
            ]);
            command
        };
        let look = |session: &mut agentrc_test_support::Session| {
            let mut leaked = String::new();
            for line in [
                "read-descriptor 7",
                "read-beneath 8 secret",
                "read-fchdir-descriptor 8 secret",
                "reopen 7 read",
                "read /dev/fd/7",
                "read /proc/self/fd/7",
            ] {
                leaked += &session.act(line).text();
            }
            (leaked, session.at_start.descriptors.clone())
        };
        let mut control = agentrc_test_support::Session::start(
            lab,
            with_descriptors(&format!("{} serve", lab.attacker(lab.path("attack")).display())),
        );
        let (leaked, _) = look(&mut control);
        control.end();
        assert_eq!(leaked.matches(&lab.secret).count(), 6, "positive control: {leaked}");

        let mut inside = agentrc_test_support::Session::start(
            lab,
            with_descriptors(&format!("{} run {}", lab.binary().display(), agentfile.display())),
        );
        let (leaked, held) = look(&mut inside);
        assert!(!leaked.contains(&lab.secret), "as {}: {leaked}", lab.who.name);
        assert_eq!(held.keys().copied().collect::<Vec<_>>(), [0, 1, 2], "as {}: {held:?}", lab.who.name);
        inside.end().expect_code(0);
    });
}

#[test]
fn a_folder_as_standard_input_opens_nothing() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        for act in
            ["read-beneath 0 secret", "read-fchdir-descriptor 0 secret", "read-beneath 0 ../outside/secret"]
        {
            let agentfile = lab.agentfile(&format!("AGENT stdin\nCMD ./attack {act}\n"));
            let run = |mut command: std::process::Command| {
                command.stdin(fs::File::open(lab.outside("")).expect("the folder"));
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
                agentrc_test_support::Child::start_with(lab, command).finish()
            };
            let mut control = lab.command(lab.attacker(lab.path("attack")));
            control.args(act.split(' '));
            assert!(lab.leaked(&run(control)), "positive control: {act}");
            let outcome = run(lab.agentrc(["run".as_ref(), agentfile.as_os_str()]));
            assert!(!lab.leaked(&outcome), "as {}: `{act}` read the secret", lab.who.name);
        }
    });
}

#[test]
fn standard_output_cannot_be_read_back_or_reopened() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        let file = lab.outside("log");
        for act in ["reopen 1 read", "reopen 2 read", "read-descriptor 1"] {
            let run = |mut command: std::process::Command| {
                lab.file(&file, format!("{}\n", lab.secret));
                let append = || fs::OpenOptions::new().append(true).open(&file).expect("log");
                command.stdin(std::process::Stdio::null()).stdout(append()).stderr(append());
                agentrc_test_support::Child::start_with(lab, command).finish();
                // The attacker writes what it reads to the same file, in hexadecimal.
                let text = fs::read(&file).expect("log");
                lab.leaked_in(&text)
            };
            let mut control = lab.command(lab.attacker(lab.path("attack")));
            control.args(act.split(' '));
            assert_eq!(run(control), act.starts_with("reopen"), "positive control: {act}");
            let agentfile = lab.agentfile(&format!("AGENT stdout\nCMD ./attack {act}\n"));
            assert!(
                !run(lab.agentrc(["run".as_ref(), agentfile.as_os_str()])),
                "as {}: `{act}`",
                lab.who.name
            );
        }
    });
}

#[test]
fn what_a_deny_line_hides_stays_hidden() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("work/private/secret"), &lab.secret);
        lab.file(lab.project("work/file.key"), &lab.secret);
        lab.file(lab.project("work/frozen/file"), "frozen\n");
        lab.file(lab.project("work/sub/private/secret"), &lab.secret);
        lab.file(lab.project("work/open"), &lab.secret);
        let work = lab.project("work").display().to_string();
        let agentfile = "AGENT deny\nBIND ./work /work rw\nDENY read /work/private\nDENY read /work/file.key\nDENY read /work/sub/private\nDENY write /work/frozen\n";
        let mut sandbox = lab.attack(agentfile);
        // Made after the start, with names that are no ASCII and no UTF-8.
        let odd: &[&[u8]] =
            &[b"later", "schlüssel-鍵".as_bytes(), b"\xff\xfe\x80", b"new\nline", b"-rf", b" "];
        for name in odd {
            lab.file(lab.project("work/private").join(std::ffi::OsStr::from_bytes(name)), &lab.secret);
        }
        let frozen = || format!("{:?}", snapshot(&lab.project("work/frozen")));
        let reads = |name: String, line: String| {
            let control = line.replace("/work", &work);
            Attempt::new(name, line, Sign::Secret, Control::Host).outside(control)
        };
        let mut attempts = vec![
            reads("a file in a hidden folder".into(), "read /work/private/secret".into()),
            reads("a hidden file".into(), "read /work/file.key".into()),
            reads("openat2".into(), "read-openat2 /work private/secret".into()),
            reads("through a symlink".into(), "read-by-symlink private/secret /work/link".into()),
            reads("through /proc".into(), "read /proc/self/root/work/private/secret".into()),
            reads("`..`".into(), "read /work/sub/../private/secret".into()),
            reads("deeper".into(), "read /work/sub/private/secret".into()),
        ];
        for name in odd {
            attempts.push(reads(
                format!("later file {:?}", String::from_utf8_lossy(name)),
                format!("read /work/private/{}", word(name)),
            ));
        }
        for (name, line) in [
            ("append", "append /work/frozen/file x"),
            ("create", "write /work/frozen/new x"),
            ("remove", "unlink /work/frozen/file"),
            ("chmod", "chmod /work/frozen/file 0600"),
        ] {
            attempts.push(
                Attempt::new(name, line, Sign::Host(Box::new(frozen)), Control::Host)
                    .outside(line.replace("/work", &work))
                    .after(|| {
                        let _ = fs::remove_file(lab.project("work/frozen/new"));
                        lab.file(lab.project("work/frozen/file"), "frozen\n");
                    }),
            );
        }
        let failures = in_session(lab, &mut sandbox, &attempts);
        // Moved away and looked at from there: the folder above a hidden one is the agent's to rename, if anything is.
        for (act, then) in [
            ("rename /work/sub /work/moved", "read /work/moved/private/secret"),
            ("rename /work/private /work/shown", "read /work/shown/secret"),
            ("exchange /work/private /work/sub", "read /work/sub/secret"),
            ("rename /work/file.key /work/file.txt", "read /work/file.txt"),
            ("link /work/file.key /work/hard", "read /work/hard"),
            ("umount /work/private", "read /work/private/secret"),
        ] {
            sandbox.act(act);
            assert!(
                !sandbox.act(then).text().contains(&lab.secret),
                "as {}: {act}, then {then}",
                lab.who.name
            );
        }
        let open = sandbox.act("read /work/open").text();
        assert!(open.contains(&lab.secret), "what is not denied must stay readable");
        sandbox.end().expect_code(0);
        assert!(failures.is_empty(), "as {}:\n  {}", lab.who.name, failures.join("\n  "));
    });
}

#[test]
fn the_runs_own_audit_log_and_the_binary_are_out_of_reach_even_of_a_bind_over_them() {
    as_each(AGENTRC, |lab| {
        lab.attacker(lab.project("attack"));
        lab.file(
            lab.outside("Agentfile"),
            format!("AGENT wide\nBIND {} /lab rw\nCMD ./attack serve\n", lab.path("").display()),
        );
        lab.attacker(lab.outside("attack"));
        let mut command =
            lab.agentrc(["run".as_ref(), "--grant".as_ref(), lab.outside("Agentfile").as_os_str()]);
        // A refusal is an answer, too: then nothing ran, and nobody reads.
        let acts = lab.outside("acts");
        lab.file(&acts, "list /lab/state/agentrc/runs\n.\nlist /lab/state/agentrc\n.\n");
        command.stdin(fs::File::open(&acts).expect("the acts"));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let outcome = agentrc_test_support::Child::start_with(lab, command).finish();
        let runs: Vec<String> = lab
            .runs()
            .iter()
            .map(|run| run.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        let leaked = lab.leaks(&outcome.stdout);
        assert!(
            outcome.code() == 125 || !runs.iter().any(|run| leaked.contains(run.as_str())),
            "as {}: the agent can reach the audit log of its own run {runs:?}: {leaked}",
            lab.who.name
        );
    });
}

#[test]
fn a_deny_line_for_what_does_not_exist_yet_holds_it() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        // What is not there and must not be read is hidden before it comes, in every kind of bind.
        for (how, line, at) in [
            ("rw", "DENY read /work/later.key", "later.key"),
            ("ro", "DENY read /work/later.key", "later.key"),
            ("copy", "DENY read /work/later.key", "later.key"),
            ("rw", "DENY read /work/no/such/folder", "no"),
        ] {
            let mut sandbox = lab.attack(&format!("AGENT deny\nBIND ./work /work {how}\n{line}"));
            sandbox.act(&format!("read /work/{at}"));
            sandbox.act(&format!("write /work/{at} mine"));
            sandbox.act(&format!("rename /work/{at} /work/elsewhere"));
            sandbox.act(&format!("read /work/{at}"));
            sandbox.end().expect_code(0);
            assert!(
                lab.project("work").join(at).symlink_metadata().is_err(),
                "as {}: {how} {line}",
                lab.who.name
            );
        }
        // In the base system nothing is made, so it is a refusal.
        let outcome = lab.run("AGENT deny\nDENY read /usr/no-such\nCMD /bin/echo ran\n");
        outcome.expect_refusal(&["Agentfile:2:", "remove the line"]);
        // The host's own later file does not show: its coming ends the run.
        let sandbox = lab.attack("AGENT deny\nBIND ./work /work rw\nDENY read /work/later.key");
        let later = lab.project("work/later.key");
        fs::remove_file(&later).expect("the placeholder");
        fs::write(&later, &lab.secret).expect("the host's file");
        assert_ne!(sandbox.end().code(), 0, "as {}", lab.who.name);
        fs::remove_file(&later).expect("the host's file");
        // What must not be written can be held before it is there.
        let mut sandbox = lab.attack("AGENT deny\nBIND ./work /work rw\nDENY write /work/later");
        for act in [
            "write /work/plain x",
            "write /work/later x",
            "mkdir /work/later",
            "rename /work/plain /work/later",
        ] {
            sandbox.act(act);
        }
        sandbox.act("symlink /etc/passwd /work/later");
        sandbox.end().expect_code(0);
        assert!(lab.project("work/plain").exists(), "as {}: control", lab.who.name);
        assert!(lab.project("work/later").symlink_metadata().is_err(), "as {}: it was made", lab.who.name);
    });
}
