//! Functions: a file's own, called by Python or by a program, in a sandbox of each call. Called through `/agentrc/functions/NAME`, as a
//! shell does.

#![allow(clippy::expect_used)]

use agentrc_test_support::broker::python;
use agentrc_test_support::{Lab, Outcome, as_each};
use serde_json::Value;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Runs `script` in a shell inside; `file` is `./f.py`, and each of `functions` is declared and permitted.
#[track_caller]
fn run(lab: &Lab, file: &str, functions: &[&str], lines: &str, script: &str) -> Outcome {
    lab.file(lab.project("f.py"), file);
    lab.script(lab.project("go.sh"), script);
    let declared: String =
        functions.iter().map(|name| format!("FUNCTION ./f.py:{name}\nALLOW invoke {name}\n")).collect();
    lab.run(&format!("AGENT caller\n{declared}{lines}\nCMD /bin/sh ./go.sh\n"))
}

/// The errors that the results on record have.
fn reasons(outcome: &Outcome) -> Vec<String> {
    let results = outcome.events_named("broker.result");
    let reasons = results.iter().filter_map(|event| event.get("reason")?.as_str().map(str::to_owned));
    reasons.filter(|reason| !reason.is_empty()).collect()
}

#[test]
fn a_function_is_called_with_its_arguments_by_name_and_returns_its_result() {
    as_each(AGENTRC, |lab| {
        let file = "\
import asyncio, dataclasses, sys
print('while it is imported')
if __name__ == '__main__':
    raise SystemExit('it was executed')

@dataclasses.dataclass
class Point:
    x: int

def add(a: int, b: int = 2) -> int:
    \"\"\"Adds.\"\"\"
    print('words of its own')
    sys.stdout.write('and more')
    return Point(a).x + b

async def later(text: str) -> dict[str, str]:
    'Waits.'
    await asyncio.sleep(0.01)
    return {'text': text, 'é': 'ü'}
";
        let outcome = run(
            lab,
            file,
            &["add", "later"],
            "",
            "cd /agentrc/functions\necho '{\"a\": 1}' | ./add\n./add --a 40 --b=3 </dev/null\n./later 'x y' </dev/null\n\
             ./add --help | head -1\ncat add.schema.json\n/agentrc/bin/mcp call function.add --a 5 </dev/null\n",
        );
        outcome.expect_code(0);
        let out = outcome.out();
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(
            lines[..4],
            ["3", "43", r#"{"text":"x y","é":"ü"}"#, "add"],
            "as {}: {out}{}",
            lab.who.name,
            outcome.stderr
        );
        assert!(out.contains("\"additionalProperties\": false") && out.ends_with("\n7\n"), "{out}");
        let call = outcome.events_named("broker.call")[0];
        assert_eq!(call.get("act").and_then(Value::as_str), Some("call function.add"), "{call}");
        assert_eq!(call.get("arguments").and_then(Value::as_str), Some(r#"{"a":1}"#));
    });
}

#[test]
fn a_client_is_told_what_objects_it_gets() {
    as_each(AGENTRC, |lab| {
        let file = "\
def table() -> dict[str, int]:
    'Gives an object.'
    return {'a': 1}
def number() -> int:
    'Gives a number.'
    return 1
";
        let script = python(
            "b = Broker()\n\
             for t in b.ask('tools/list')['result']['tools']: say(t['name'], t.get('outputSchema', {}).get('type'), t['description'])\n\
             say(b.ask('tools/call', {'name': 'function.table', 'arguments': {}})['result'].get('structuredContent'))\n\
             say(b.call('function.number'), b.call('number'))",
        );
        let outcome = run(lab, file, &["table", "number"], "", &script);
        assert_eq!(
            outcome.out(),
            "function.number None Gives a number.\nfunction.table object Gives an object.\n{'a': 1}\nok 1 refused there is no tool `number`\n",
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
    });
}

#[test]
fn every_fault_is_the_same_json_each_time() {
    as_each(AGENTRC, |lab| {
        let file = "\
import os, sys, time

def raises(how: str) -> int:
    'Fails in many ways.'
    if how == 'value':
        raise ValueError('no\\tgood')
    if how == 'address':
        raise RuntimeError(object())
    if how == 'order':
        raise ValueError({'one', 'two', 'three', 'four', 'five', 'six'})
    if how == 'exit':
        sys.exit(0)
    if how == 'abrupt':
        os._exit(0)
    if how == 'refuses':
        os._exit(77)
    if how == 'set':
        return {1}
    if how == 'nan':
        return float('nan')
    if how == 'text':
        return 'text'
    if how == 'closed':
        os.closerange(0, 100)
        return 1
    if how == 'forged':
        for fd in range(0, 100):
            try: os.write(fd, b'{\"result\": 2}\\n')
            except OSError: pass
        return 1
    if how == 'twice':
        child = os.fork()
        if child: os.waitpid(child, 0)
        return 1
    if how == 'killed':
        os.kill(os.getpid(), 9)
    if how == 'flood':
        return 'x' * 100000
    return 0
";
        let hows =
            "value address exit abrupt refuses set nan text closed forged twice killed flood order fine";
        let outcome = run(
            lab,
            file,
            &["raises"],
            "LIMIT max_output 8KiB",
            &format!(
                "for how in {hows} {hows}; do /agentrc/functions/raises $how </dev/null; echo \"$how $?\"; done\n"
            ),
        );
        let out = outcome.out();
        for how in hows.split(' ').filter(|how| *how != "fine") {
            assert!(
                out.contains(&format!("{how} 1\n")),
                "as {}: {how}: {out}{}",
                lab.who.name,
                outcome.stderr
            );
        }
        let (once, again) = out.split_once("0\nfine 0\n").expect("one that does not fail");
        assert_eq!(again, format!("{once}0\nfine 0\n"), "as {}", lab.who.name);
        let all = reasons(&outcome);
        let (reasons, again) = all.split_at(all.len() / 2);
        assert_eq!(reasons, again, "as {}", lab.who.name);
        let wanted = [
            r#"{"error":{"message":"no\\u{9}good","type":"ValueError"}}"#,
            r#"{"error":{"message":"<object object>","type":"RuntimeError"}}"#,
            r#"{"error":{"message":"0","type":"SystemExit"}}"#,
        ];
        assert_eq!(reasons.len(), 14, "{reasons:#?}");
        assert_eq!(reasons[1], wanted[1]);
        assert_eq!(reasons[2], wanted[2]);
        assert!(reasons[0].contains("\"type\":\"ValueError\""), "{}", reasons[0]);
        for (at, kind) in [
            (3, "NoResult"),
            (4, "Failed"),
            (5, "TypeError"),
            (6, "ValueError"),
            (7, "WrongResult"),
            (8, "Failed"),
            (9, "NoResult"),
            (10, "NoResult"),
            (11, "Killed"),
            (12, "TooMuch"),
            (13, "ValueError"),
        ] {
            assert!(reasons[at].contains(&format!("\"type\":\"{kind}\"")), "{at}: {}", reasons[at]);
        }
        for reason in reasons {
            assert!(serde_json::from_str::<Value>(reason).is_ok(), "{reason}");
            assert!(!reason.contains("/agentrc") && !reason.contains("0x"), "{reason}");
        }
    });
}

#[test]
fn arguments_that_do_not_fit_never_reach_the_function() {
    as_each(AGENTRC, |lab| {
        let outcome = run(
            lab,
            "def double(n: int) -> int:\n    'Doubles.'\n    return 2 * n\n",
            &["double"],
            "",
            "for given in '{}' '{\"n\": \"2\"}' '{\"n\": 1, \"m\": 2}' '{\"n\": 1, \"n\": 2}' '[]' '{\"n\": 1.5}'; do\n\
             echo \"$given\" | /agentrc/functions/double; echo $?\ndone\n/agentrc/bin/mcp call double </dev/null; echo $?\n/agentrc/bin/mcp call function.none </dev/null; echo $?\n",
        );
        assert_eq!(outcome.out(), "1\n1\n1\n1\n1\n1\n77\n77\n", "as {}: {}", lab.who.name, outcome.stderr);
        assert!(outcome.events_named("broker.call").is_empty());
        let denied = outcome.events_named("denial");
        assert!(
            denied.iter().any(|event| event.get("act").and_then(Value::as_str) == Some("call function.none")),
            "{denied:?}"
        );
    });
}

#[test]
fn policy_decides_each_call_on_its_arguments_and_rates_count() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("f.py"), "def say(word: str) -> str:\n    'Says.'\n    return word\n");
        lab.script(
            lab.project("go.sh"),
            "cd /agentrc/functions\n./say good </dev/null; echo $?\n./say bad </dev/null; echo $?\n./say good </dev/null; echo $?\n./say good </dev/null; echo $?\nls\n",
        );
        let outcome = lab.run(
            "AGENT caller\nFUNCTION ./f.py:say\nRATELIMIT say 2/hour\nPOLICY\n\
             permit(principal, action == AgentRC::Action::\"function.invoke\", resource == AgentRC::Function::\"say\")\n\
             when { context.namespace == \"function\" && context.args like \"*good*\" && context.path == \"\" };\nEND\nCMD /bin/sh ./go.sh\n",
        );
        assert_eq!(
            outcome.out(),
            "\"good\"\n0\n77\n\"good\"\n0\n77\nsay\nsay.help\nsay.schema.json\n",
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        let denial = outcome.denial_of("call function.say");
        assert_eq!(denial.get("layer").and_then(Value::as_str), Some("broker"), "{denial}");
        assert!(outcome.stderr.contains("Agentfile:2:"), "{}", outcome.stderr);
        let limits = outcome.events_named("limit");
        assert!(
            limits.iter().any(|event| event.get("limit").and_then(Value::as_str) == Some("say")),
            "{limits:?}"
        );
    });
}

#[test]
fn a_function_that_nothing_permits_does_not_exist() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("f.py"), "def say() -> str:\n    'Says.'\n    return 'said'\n");
        lab.script(
            lab.project("go.sh"),
            "ls /agentrc/functions 2>/dev/null\n/agentrc/bin/mcp call function.say </dev/null; echo $?\n",
        );
        let outcome = lab.run("AGENT caller\nFUNCTION ./f.py:say\nCMD /bin/sh ./go.sh\n");
        assert_eq!(outcome.out(), "77\n", "as {}: {}", lab.who.name, outcome.stderr);
    });
}

#[test]
fn nothing_but_the_file_says_what_python_imports_and_it_has_the_agents_files_and_no_network() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        let file = "\
import json, os, socket, sys
from typing import Any
def look() -> dict[str, Any]:
    'Looks.'
    def tried(act):
        try:
            act()
            return 'done'
        except Exception as error:
            return type(error).__name__
    open('/work/wrote', 'w').write('x')
    return {
        'json': json.__file__.startswith('/work'),
        'path': '/work' in sys.path or '' in sys.path,
        'broker': tried(lambda: socket.socket(socket.AF_UNIX).connect('/agentrc/broker.sock')),
        'net': tried(lambda: socket.create_connection(('api.example.com', 443), 2)),
        'stdin': sys.stdin.read(),
        'pid': os.getpid() < 10,
        'name': __name__,
    }
";
        let outcome = run(
            lab,
            file,
            &["look"],
            "BIND ./work /work rw\nURL tcp://api.example.com:443",
            "cd /work\necho 'raise SystemExit(9)' > json.py\nexport PYTHONPATH=/work PYTHONSTARTUP=/work/json.py\n/agentrc/functions/look </dev/null\n",
        );
        outcome.expect_code(0);
        let found: Value = serde_json::from_str(&outcome.out()).expect("JSON");
        assert_eq!(found["json"], false, "as {}: {found}{}", lab.who.name, outcome.stderr);
        assert_eq!(found["path"], false);
        assert_ne!(found["broker"], "done");
        assert_ne!(found["net"], "done");
        assert_eq!((&found["stdin"], &found["pid"]), (&"".into(), &true.into()), "{found}");
        assert_eq!(found["name"], "agentrc_function");
        assert!(lab.project("work/wrote").exists());
    });
}

#[test]
fn a_caller_that_stops_waiting_ends_a_function_that_does_not_end() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("work"));
        let file = "\
import time
def spin() -> int:
    'Never returns.'
    while True:
        with open('/work/alive', 'a') as to: to.write('x')
        time.sleep(0.02)
";
        let outcome = run(
            lab,
            file,
            &["spin"],
            "BIND ./work /work rw",
            "size() { wc -c </work/alive; }\n/agentrc/functions/spin </dev/null &\nwhile [ ! -s /work/alive ]; do sleep 0.05; done\n\
             kill -9 $!\nwait\nfor n in $(seq 60); do before=$(size); sleep 0.3; [ \"$before\" = \"$(size)\" ] && echo gone && break; done\n",
        );
        assert_eq!(outcome.out(), "gone\n", "as {}: {}", lab.who.name, outcome.stderr);
    });
}

#[test]
fn a_program_is_given_the_functions_name_and_has_to_answer_json() {
    as_each(AGENTRC, |lab| {
        let program = "#!/bin/sh\nread -r given\ncase $given in *bad*) echo words;; *error*) echo '{\"error\": {\"type\": \"Odd\", \"message\": \"m\"}}'; exit 4;; *refuse*) echo no >&2; exit 77;; *) printf '{\"%s\": %s}' \"$1\" \"$given\";; esac\n";
        lab.script(lab.project("tools/calc"), program);
        lab.file(
            lab.project("tools/calc.schema.json"),
            r#"{"description": "Calculates.", "inputSchema": {"type": "object"}}"#,
        );
        lab.script(
            lab.project("go.sh"),
            "for how in fine bad error refuse; do echo \"{\\\"how\\\": \\\"$how\\\"}\" | /agentrc/functions/area; echo $?; done\n",
        );
        let outcome =
            lab.run("AGENT caller\nFUNCTION ./tools/calc:area\nALLOW invoke area\nCMD /bin/sh ./go.sh\n");
        assert_eq!(
            outcome.out(),
            "{\"area\":{\"how\":\"fine\"}}\n0\n1\n1\n77\n",
            "as {}: {}",
            lab.who.name,
            outcome.stderr
        );
        let reasons = reasons(&outcome);
        assert!(reasons[0].contains("NoResult"), "{reasons:?}");
        assert_eq!(reasons[1], r#"{"error":{"message":"m","type":"Odd"}}"#);
    });
}

#[test]
fn without_python_inside_the_run_is_refused_with_the_line() {
    as_each(AGENTRC, |lab| {
        lab.file(lab.project("f.py"), "def say() -> str:\n    'Says.'\n    return 'said'\n");
        let outcome =
            lab.run("AGENT caller\nFROM scratch\nFUNCTION ./f.py:say\nALLOW invoke say\nCMD /none\n");
        outcome.expect_refusal(&["./f.py:say", "none inside", "Agentfile:3:1"]);
        let outcome = lab.run("AGENT caller\nFUNCTION nowhere\nALLOW invoke nowhere\nCMD true\n");
        outcome.expect_refusal(&["FUNCTION nowhere", "Agentfile:2:1"]);
    });
}
