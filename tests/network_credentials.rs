//! Credentials: the agent uses what it never holds. The value goes to the bound host over verified TLS, in a header, and
//! nowhere else; what stands for it inside is worth nothing. (`shared/attacks.md`, "credentials"; `docs/credentials.md`.)

use std::fs;

use agentrc_test_support::leftovers::anywhere;
use agentrc_test_support::outcome::Outcome;
use agentrc_test_support::{Lab, World, as_each, as_each_and_without_filter};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// The value is what every lab has in this variable of the caller's: its secret.
const LINES: &str = "\
URL https://api.example.com
URL https://other.example.com
URL http://www.example.com
CRED TOKEN env:CALLERS_SECRET host:api.example.com
AUDIT all";

fn authorization(request: &agentrc_test_support::world::Request) -> String {
    let value = request.headers.get("authorization").and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The value is in nothing that the run wrote or said.
#[track_caller]
fn not_seen(lab: &Lab, said: &str) {
    assert!(!said.contains(&lab.secret), "as {}: the agent saw the value: {said}", lab.who.name);
    let found = anywhere(&lab.state(), &lab.secret);
    assert!(found.is_empty(), "as {}: the value is in {found:?}", lab.who.name);
}

#[test]
fn the_value_goes_to_the_bound_host_and_the_agent_has_a_placeholder() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            LINES,
            "echo \"token=$TOKEN\"\n\
             curl -sS -H \"Authorization: Bearer $TOKEN\" https://api.example.com/bearer\n\
             curl -sS -u \"user:$TOKEN\" https://api.example.com/basic\n\
             curl -sS -H \"X-Api-Key: $TOKEN\" https://api.example.com/custom\n\
             cat /proc/self/environ /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -a TOKEN",
        );
        outcome.expect_code(0);
        not_seen(lab, &(outcome.out() + &outcome.stderr));
        let requests = world.requests();
        let basic = "Basic ".to_owned() + &base64(&format!("user:{}", lab.secret));
        let seen: Vec<_> = requests.iter().map(|one| (one.target.as_str(), authorization(one))).collect();
        assert_eq!(
            seen,
            [("/bearer", format!("Bearer {}", lab.secret)), ("/basic", basic), ("/custom", String::new())],
            "as {}: {}",
            lab.who.name,
            outcome.out()
        );
        let custom = requests.last().and_then(|one| one.headers.get("x-api-key"));
        assert_eq!(custom.and_then(|key| key.to_str().ok()), Some(lab.secret.as_str()));
    });
}

#[test]
fn a_placeholder_anywhere_else_is_refused_and_reaches_nobody() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            LINES,
            "curl -sS -H \"Authorization: Bearer $TOKEN\" http://www.example.com/clear\n\
             curl -sS \"https://api.example.com/path/$TOKEN\"\n\
             curl -sS \"https://api.example.com/query?key=$TOKEN\"\n\
             curl -sS \"https://api.example.com/percent?key=$(printf %s \"$TOKEN\" | od -An -v -tx1 | tr -d '\\n' | sed 's/ /%/g')\"\n\
             curl -sS -H \"User-Agent: $TOKEN\" https://api.example.com/agent\n\
             curl -sS -H \"X-Wrapped: a${TOKEN}b\" https://api.example.com/wrapped\n\
             curl -sS -d \"key=$TOKEN\" https://api.example.com/body\n\
             curl -sS -d \"$(printf %s \"x$TOKEN\" | base64 -w0)\" https://api.example.com/base64\n\
             curl -sS -H 'Transfer-Encoding: chunked' -d \"key=$TOKEN\" http://www.example.com/clear-body\n\
             echo done",
        );
        outcome.expect_code(0);
        not_seen(lab, &(outcome.out() + &outcome.stderr));
        for one in world.requests() {
            let all = format!("{} {:?} {}", one.target, one.headers, String::from_utf8_lossy(&one.body));
            assert!(!all.contains(&lab.secret), "as {}: the value went out: {all}", lab.who.name);
            // A body is cut where a placeholder in it is seen: the head had gone.
            assert!(
                ["/body", "/base64", "/clear-body"].contains(&one.target.as_str()),
                "as {}: it went out: {all}\n{}",
                lab.who.name,
                outcome.out()
            );
        }
        let said = outcome.out();
        let denied =
            said.lines().filter(|line| line.starts_with("agentrc: ") && line.contains("TOKEN")).count();
        assert_eq!(denied, 9, "as {}: {said}", lab.who.name);
    });
}

#[test]
fn what_a_server_gives_back_is_redacted() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            &format!("{LINES}\nURL https://api.example.com:8443"),
            "curl -sS -i --http1.1 -H \"Authorization: Bearer $TOKEN\" https://api.example.com:8443/reflect; echo\n\
             curl -sS -i -H \"Authorization: Bearer $TOKEN\" https://api.example.com/reflect; echo; echo \"own=$TOKEN\"",
        );
        outcome.expect_code(0);
        let said = outcome.out();
        not_seen(lab, &said);
        assert!(!said.contains("yes Bearer"), "as {}: {said}", lab.who.name);
        let own = said.lines().find_map(|line| line.strip_prefix("own=")).unwrap_or_default().to_owned();
        assert!(own.len() >= 8 && said.matches(own.as_str()).count() == 5, "as {}: {said}", lab.who.name);
        let sent: Vec<_> = world.requests().iter().map(authorization).collect();
        assert_eq!(sent, [0, 1].map(|_| format!("Bearer {}", lab.secret)));
    });
}

#[test]
fn a_policy_on_a_credential_holds() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            &format!(
                "{LINES}\nPOLICY\nforbid(principal, action == AgentRC::Action::\"cred.resolve\", resource)\nwhen {{ context.inject == \"header\" && context.port == 443 }};\nEND"
            ),
            "curl -sS -H \"Authorization: Bearer $TOKEN\" https://api.example.com/bearer; echo; curl -sS https://api.example.com/plain",
        );
        outcome.expect_code(0);
        assert!(outcome.out().contains("is denied"), "as {}: {}", lab.who.name, outcome.out());
        let targets: Vec<_> = world.requests().into_iter().map(|one| one.target).collect();
        assert_eq!(targets, ["/plain"], "as {}", lab.who.name);
    });
}

#[test]
fn a_server_without_a_valid_certificate_gets_nothing() {
    as_each_and_without_filter(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            "URL https://api.example.com:4443\nURL https://api.example.com:4444\nCRED TOKEN env:CALLERS_SECRET host:api.example.com",
            "for port in 4443 4444; do curl -sS -H \"Authorization: Bearer $TOKEN\" https://api.example.com:$port/x; done",
        );
        outcome.expect_code(0);
        assert!(outcome.out().contains("no verified TLS"), "as {}: {}", lab.who.name, outcome.out());
        assert!(world.requests().is_empty(), "as {}: {:?}", lab.who.name, world.asked());
    });
}

#[test]
fn a_credential_that_cannot_be_resolved_is_a_refusal_with_its_line() {
    as_each(AGENTRC, |lab| {
        for source in ["env:NOT_SET_ANYWHERE", "file:./missing", "dotenv:./.env#KEY", "vault://secret/x#key"]
        {
            let lines = format!("URL https://api.example.com\nCRED TOKEN {source} host:api.example.com");
            let path = lab.agentfile(&format!("AGENT client\n{lines}\nCMD /bin/true\n"));
            let outcome =
                lab.finish_command(lab.agentrc(["run".as_ref(), "--grant".as_ref(), path.as_os_str()]));
            assert_eq!(outcome.code(), 125, "as {}: {source}: {}", lab.who.name, outcome.stderr);
            assert!(
                outcome.stderr.contains("Agentfile:3:1") && outcome.stderr.contains("credentials"),
                "as {}: {source}: {}",
                lab.who.name,
                outcome.stderr
            );
        }
    });
}

/// RFC 4648, section 4.
fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            encoded.push(if place > three.len() { '=' } else { digit.into() });
        }
    }
    encoded
}

/// What the file and the dotenv file of the tests below hold.
const VALUES: [&str; 2] = ["value-of-the-file-1", "value-of-dotenv-22"];

/// Runs it, with consent to what it asks for.
fn granted(lab: &Lab, agentfile: &str) -> Outcome {
    let path = lab.agentfile(agentfile);
    lab.finish_command(lab.agentrc(["run".as_ref(), "--grant".as_ref(), path.as_os_str()]))
}

fn files(lab: &Lab) {
    lab.file(lab.project("data/deep/token"), format!("{}\n", VALUES[0]));
    lab.file(lab.project("data/.envrc"), format!("KEY={}\n", VALUES[1]));
    lab.file(lab.project("data/public"), "public\n");
    lab.symlink("data/deep/token", lab.project("link"));
    lab.symlink("deep/token", lab.project("data/inner"));
}

#[test]
fn the_file_of_a_credential_is_hidden_however_it_is_shown() {
    const READ: &str = "CMD /bin/sh -c \"grep -rah . /data /deep; cat /data/deep/token /data/inner /deep/token /data/.envrc; mv /data/deep /data/moved && cat /data/moved/token; true\"";
    as_each(AGENTRC, |lab| {
        files(lab);
        for mode in ["ro", "rw", "copy"] {
            for (source, hidden) in [
                ("file:data/deep/token", 0),
                ("file:link", 0),
                ("file:data/../data/deep/token", 0),
                ("dotenv:data/.envrc#KEY", 1),
            ] {
                let outcome = granted(
                    lab,
                    &format!(
                        "AGENT hide\nBIND ./data /data {mode}\nBIND ./data/deep /deep ro\nCRED TOKEN {source}\n{READ}\n"
                    ),
                );
                let (said, name) = (outcome.out(), lab.who.name);
                assert!(said.contains("public"), "as {name}: {mode} {source}: {}", outcome.stderr);
                assert!(!said.contains(VALUES[hidden]), "as {name}: {mode} {source}: {said}");
                assert!(said.contains(VALUES[1 - hidden]), "as {name}: the other is no credential: {said}");
                outcome.expect_code(0);
                let moved = lab.project("data/moved");
                if moved.exists() {
                    fs::rename(moved, lab.project("data/deep")).expect("moved back");
                }
            }
        }
    });
}

#[test]
fn a_credential_whose_file_cannot_be_hidden_is_refused_and_both_lines_are_named() {
    as_each(AGENTRC, |lab| {
        files(lab);
        let outcome = granted(
            lab,
            "AGENT x\nBIND ./data/deep/token /key ro\nCRED TOKEN file:link\nCMD /bin/cat /key\n",
        );
        outcome.expect_refusal(&["Agentfile:2:1", "Agentfile:3:1"]);
        let linked = lab.project("data/second");
        fs::hard_link(lab.project("data/deep/token"), &linked).expect("a hard link");
        let outcome = granted(
            lab,
            "AGENT x\nBIND ./data /data ro\nCRED TOKEN file:data/deep/token\nCMD /bin/cat /data/second\n",
        );
        outcome.expect_refusal(&["Agentfile:2:1", "Agentfile:3:1", "hard link"]);
        assert!(!outcome.out().contains(VALUES[0]));
    });
}
