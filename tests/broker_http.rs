//! `http_request`: the broker's requests go the agent's way, through the gateway, each judged twice: as a call by its URL, and as a
//! request by what the gateway judges of the agent's own. Real servers in a world of the test's own.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{Outcome, World, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const TOOL: &str = "TOOL utcp:http_request\nALLOW invoke utcp:http_request";

/// What the calls of `code` print, and the run. `b.get(url, …)` gives status and body.
#[track_caller]
fn run(world: &World<'_>, lines: &str, code: &str) -> (Vec<String>, Outcome) {
    let client = "class Caller(Broker):\n    def get(self, url, **more):\n        said = self.call('http_request', url=url, **more)\n        if not said.startswith('ok '): return said\n        r = json.loads(said[3:])\n        return '%d %s %s' % (r['status'], r['url'], r['body'].strip()[:200])\nb = Caller()\n";
    let outcome = world.run(lines, &python(&format!("{client}{code}")));
    assert_eq!(outcome.code(), 0, "{}{}", outcome.out(), outcome.stderr);
    let said = outcome.out().lines().map(str::to_owned).collect();
    (said, outcome)
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_policy_on_the_url_decides_about_what_is_fetched() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        // The policy that was published with the language.
        let lines = "TOOL utcp:http_request\nURL https://api.example.com\nPOLICY\npermit (principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"http_request\")\nwhen { context.url like \"https://api.example.com/*\" && context.method == \"GET\" };\nEND\nAUDIT all";
        let code = "say(b.get('https://api.example.com/fine'))\nsay(b.get('HTTPS://API.example.com:443/fine?x=1', method='GET'))\nsay(b.get('https://api.example.com/fine', method='POST', body='x'))\nsay(b.get('https://www.example.com/fine'))\nsay(b.get('https://api.example.com.evil.example/fine'))\nsay(b.get('https://user@api.example.com/fine'))\nsay(b.get('https://api.example.com/%2e%2e/fine'))\nsay(b.get('http://api.example.com/fine'))\nsay(b.get('https://api.example.com./fine'))\nsay(b.get('https://api.example.com:8443/fine'))";
        let (said, outcome) = run(&world, lines, code);
        assert_eq!(said.len(), 10, "as {}: {said:#?}{}", lab.who.name, outcome.stderr);
        assert!(
            said[0].starts_with("200 https://api.example.com/fine"),
            "as {}: {said:#?}{}",
            lab.who.name,
            outcome.stderr
        );
        assert!(said[1].starts_with("200 https://api.example.com/fine?x=1"), "{said:#?}");
        for refused in &said[2..5] {
            assert!(refused.starts_with("refused `http_request` is refused: nothing in"), "{refused}");
        }
        for invalid in &said[5..7] {
            assert!(invalid.starts_with("error the arguments of `http_request` do not fit"), "{invalid}");
        }
        assert!(said[8].starts_with("error ") && said[8].contains("no name and no address"), "{said:#?}");
        assert!([7, 9].iter().all(|at| said[*at].starts_with("refused ")), "{said:#?}");
        assert_eq!(
            world.asked(),
            ["GET https://api.example.com/fine", "GET https://api.example.com/fine?x=1"]
        );
        let permitted: Vec<_> = outcome.events_named("network.permitted");
        assert_eq!(permitted.len(), 2, "{permitted:?}");
        assert!(text(permitted[0], "rule").contains("Agentfile"), "{permitted:?}");
    });
}

#[test]
fn each_redirect_is_decided_about_again() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = "TOOL utcp:http_request\nURL https://api.example.com\nURL https://other.example.com\nURL http://www.example.com\nURL http://*.wild.example.com\nPOLICY\npermit (principal, action == AgentRC::Action::\"tool.invoke\", resource == AgentRC::Tool::\"http_request\")\nwhen { context.call_count <= 20 };\n@id(\"no-secrets\")\nforbid (principal, action == AgentRC::Action::\"tool.invoke\", resource) when { context.url like \"https://other.example.com/secret*\" };\n@id(\"no-www-gateway\")\nforbid (principal, action == AgentRC::Action::\"network.egress\", resource) when { context.via == \"broker\" && context.path == \"/closed\" };\nEND";
        let to = |to: &str| format!("'https://api.example.com/redirect?{to}'");
        let code = format!(
            "say(b.get({}))\nsay(b.get({}))\nsay(b.get({}))\nsay(b.get({}))\nsay(b.get({}))\nsay(b.get({}))\nsay(b.get({}, headers={{'Authorization': 'Bearer x', 'Accept': 'text/plain'}}))\nsay(b.get({}, method='POST', body='x'))\nfor host in ['*.wild.example.com', '-a.wild.example.com', 'a!b.wild.example.com', 'a' * 64 + '.wild.example.com', 'a.' * 2000 + 'wild.example.com']:\n    say(b.get('http://' + host + '/'))\n    say(b.get({} + host + '/'))\nsay(b.get('https://api.example.com/still'))",
            to("https://other.example.com/fine"),
            to("https://other.example.com/secret"),
            to("http://undeclared.example.com/"),
            to("http://127.0.0.1:8080/"),
            to("https://api.example.com/redirect?https://other.example.com/closed"),
            to("file:///etc/passwd"),
            to("https://other.example.com/with-header"),
            to("https://other.example.com/posted"),
            to("http://"),
        );
        let (said, outcome) = run(&world, lines, &code);
        assert_eq!(said.len(), 19, "as {}: {said:#?}{}", lab.who.name, outcome.stderr);
        assert!(said[0].starts_with("200 https://other.example.com/fine"), "{said:#?}");
        assert!(
            said[1].starts_with("refused ")
                && said[1].contains("it redirects to https://other.example.com/secret")
                && said[1].contains("no-secrets"),
            "{said:#?}"
        );
        assert!(
            said[2].starts_with("refused ") && said[2].contains("add `URL http://undeclared.example.com`"),
            "{said:#?}"
        );
        assert!(said[3].starts_with("refused ") && said[3].contains("127.0.0.1:8080"), "{said:#?}");
        assert!(
            said[4].starts_with("refused ") && said[4].contains("https://other.example.com/closed is denied"),
            "{said:#?}"
        );
        assert!(
            said[5].starts_with("error ") && said[5].contains("it redirects to what is no URL"),
            "{said:#?}"
        );
        assert!(said[6].starts_with("200 ") && said[7].starts_with("200 "), "{said:#?}");
        // What is no host is refused, whoever names it, and the gateway still serves.
        for no_host in &said[8..18] {
            assert!(no_host.starts_with("error ") || no_host.starts_with("refused "), "{said:#?}");
        }
        assert!(said[18].starts_with("200 "), "{said:#?}");
        // Where it led is on record, as a call of the same number.
        let calls = outcome.events_named("broker.call");
        let hops = |url: &str| {
            let act = format!("call http_request https://other.example.com/{url}");
            calls.iter().filter(|call| call["act"] == act).collect::<Vec<_>>()
        };
        for url in ["fine", "posted"] {
            let [hop] = hops(url)[..] else { panic!("as {}: {:?}", lab.who.name, hops(url)) };
            let same = calls.iter().filter(|call| call["call"] == hop["call"]).count();
            assert_eq!((same, hop["rule"].as_str().is_some_and(|rule| !rule.is_empty())), (2, true), "{hop}");
        }
        assert!(hops("secret").is_empty());
        let requests = world.requests();
        assert!(!requests.iter().any(|request| ["/secret", "/closed"].contains(&request.target.as_str())));
        let with = |path: &str| requests.iter().find(|request| request.target.starts_with(path));
        let followed = with("/with-header").expect("followed");
        assert!(followed.headers.get("authorization").is_none() && followed.headers.get("accept").is_some());
        assert_eq!(with("/posted").expect("followed").method, "GET", "302 of a POST");
        let denied = outcome.events_named("denial");
        assert!(
            denied.iter().any(|event| text(event, "act").contains("https://other.example.com/secret")
                && text(event, "rule").contains("no-secrets")),
            "{denied:#?}"
        );
    });
}

#[test]
fn a_server_line_is_the_tools_way_alone() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = format!("{TOOL}\nSERVER api https://api.example.com\nAUDIT all");
        let code = "say(b.get('https://api.example.com/fine'))\nimport os\nsay(os.listdir('/sys/class/net') if os.path.exists('/sys/class/net') else '-')\ntry:\n    socket.create_connection(('api.example.com', 443), 2)\n    say('connected')\nexcept OSError as error: say('no', error.__class__.__name__)";
        let (said, outcome) = run(&world, &lines, code);
        assert!(said[0].starts_with("200 "), "as {}: {said:#?}{}", lab.who.name, outcome.stderr);
        assert!(said[2].starts_with("no "), "{said:#?}");
        assert_eq!(world.asked(), ["GET https://api.example.com/fine"]);
        let armed = outcome.events_named("run.armed")[0].to_string();
        assert!(armed.contains("\"gateway\""), "{armed}");
    });
}

#[test]
fn a_credential_is_put_in_by_the_gateway_and_seen_nowhere() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = format!(
            "{TOOL}\nURL https://api.example.com\nURL https://other.example.com\nCRED TOKEN env:CALLERS_SECRET host:api.example.com\nAUDIT all"
        );
        let code = "import os\nt = 'Bearer ' + os.environ['TOKEN']\nsay(b.get('https://api.example.com/reflect', headers={'Authorization': t}))\nsay(b.get('https://other.example.com/fine', headers={'Authorization': t}))\nsay(b.get('https://api.example.com/redirect?https://other.example.com/elsewhere', headers={'Authorization': t}))";
        let (said, outcome) = run(&world, &lines, code);
        assert!(said[0].starts_with("200 "), "as {}: {said:#?}{}", lab.who.name, outcome.stderr);
        assert!(said[1].starts_with("refused "), "{said:#?}");
        assert!(said[2].starts_with("200 https://other.example.com/elsewhere"), "{said:#?}");
        let requests = world.requests();
        let sent = |path: &str| {
            let request = requests.iter().find(|request| request.target.starts_with(path)).expect("sent");
            request.headers.get("authorization").map(|value| value.to_str().expect("text").to_owned())
        };
        assert_eq!(sent("/reflect"), Some(format!("Bearer {}", lab.secret)));
        assert_eq!(sent("/elsewhere"), None);
        let record: String = outcome.events.iter().map(Value::to_string).collect();
        assert!(!outcome.out().contains(&lab.secret) && !record.contains(&lab.secret), "as {}", lab.who.name);
    });
}

#[test]
fn what_comes_back_is_bounded_and_makes_the_run_untrusted() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        lab.file(lab.project("notes.json"), r#"{"definitions": {"Note": {"type": "object"}}}"#);
        let lines = format!(
            "{TOOL}\nSERVER api http://www.example.com\nMEMORY notes ./notes.json schema:Note mode:rw\nLIMIT max_output 4096\nLIMIT network_requests 3"
        );
        let code = "say(b.call('memory.write', memory='notes', key='a', value={})[:3])\nsay(b.get('http://www.example.com/noise?100000'))\nsay(b.call('memory.write', memory='notes', key='b', value={})[:8])\nsay(b.get('http://www.example.com/fine', timeout_seconds=5))\nsay(b.get('http://www.example.com/fine'))\nsay(b.get('http://www.example.com/fine'))\nsay(b.get('http://www.example.com/fine', headers={'Host': 'x'}))";
        let (said, outcome) = run(&world, &lines, code);
        assert_eq!(said.len(), 7, "as {}: {said:#?}{}", lab.who.name, outcome.stderr);
        assert_eq!(said[0], "ok ", "control: {said:#?}");
        assert!(said[1].starts_with("error the answer has more than 4096 bytes"), "{said:#?}");
        assert_eq!(said[2], "refused ", "{said:#?}");
        assert!(said[3].starts_with("200 ") && said[4].starts_with("200 "), "{said:#?}");
        assert!(said[5].starts_with("refused ") && said[5].contains("network_requests"), "{said:#?}");
        assert!(said[6].starts_with("error ") && said[6].contains("not the caller's"), "{said:#?}");
    });
}

#[test]
fn redirects_end_keep_what_they_must_and_lead_to_no_private_address() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = format!(
            "{TOOL}\nURL https://api.example.com\nURL https://other.example.com\nURL http://private.example.com"
        );
        let code = "say(b.get('https://api.example.com/moved?/moved'))\nsay(b.get('https://api.example.com/moved?https://other.example.com/echo', method='POST', body='kept'))\nsay(b.get('https://api.example.com/redirect?http://private.example.com/x'))\nsay(b.get('https://api.example.com/redirect?https://api.example.com/x/../y'))";
        let (said, outcome) = run(&world, &lines, code);
        assert_eq!(said.len(), 4, "as {}: {said:#?}{}", lab.who.name, outcome.stderr);
        // `/moved` without more leads to itself.
        assert!(said[0].starts_with("error it redirects more than 5 times"), "{said:#?}");
        assert_eq!(said[1], "200 https://other.example.com/echo kept", "as {}", lab.who.name);
        assert!(said[2].starts_with("refused ") && said[2].contains("private"), "{said:#?}");
        assert!(said[3].starts_with("error it redirects to what "), "{said:#?}");
        let asked = world.asked();
        assert_eq!(asked.iter().filter(|one| one.contains("/moved")).count(), 7, "{asked:#?}");
        let ends = |end: &str| asked.iter().any(|one| one.ends_with(end) && !one.contains('?'));
        assert!(!ends("private.example.com/x") && !ends("/y"), "{asked:#?}");
        assert!(asked.contains(&"POST https://other.example.com/echo".to_owned()), "{asked:#?}");
    });
}

#[test]
fn a_request_ends_in_its_time_carries_bytes_and_is_counted_with_the_agents() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = format!(
            "{TOOL}\nURL http://api.example.com\nURL http://other.example.com\nRATELIMIT other.example.com 2/hour\nLIMIT egress_bytes 3000"
        );
        let code = "import base64\nraw = base64.b64encode(bytes(range(256))).decode()\nr = json.loads(b.call('http_request', url='http://api.example.com/echo', method='POST', body=raw, encoding='base64')[3:])\nsay(r['encoding'], r['body'] == raw)\nsay(b.get('http://api.example.com/events?9', timeout_seconds=1))\nsay(b.get('http://api.example.com/echo', method='POST', body='!!', encoding='base64'))\nimport urllib.request\nsay(urllib.request.urlopen('http://other.example.com/fine').status)\nfor _ in range(2): say(b.get('http://other.example.com/fine'))\nsay(b.get('http://api.example.com/echo', method='POST', body='x' * 4000))\nsay(b.get('http://api.example.com/fine'))";
        let (said, outcome) = run(&world, &lines, code);
        assert_eq!(said.len(), 8, "as {}: {said:#?}{}", lab.who.name, outcome.stderr);
        assert_eq!(said[0], "base64 True", "as {}", lab.who.name);
        assert!(said[1].starts_with("error it took more than 1 s"), "{said:#?}");
        assert!(said[2].starts_with("error `body` is no base64"), "{said:#?}");
        // One of the agent's own, and one of the broker's.
        assert_eq!(said[3], "200");
        assert!(said[4].starts_with("200 "), "{said:#?}");
        assert!(said[5].starts_with("refused ") && said[5].contains("other.example.com"), "{said:#?}");
        assert!(said[6].contains("egress_bytes") && said[7].contains("egress_bytes"), "{said:#?}");
    });
}
