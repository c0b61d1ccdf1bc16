//! Manuals and commands, case by case.

use serde_json::json;

use super::*;
use crate::plan::{Part, Runs};

fn listed(command: &str, inputs: &Value) -> Value {
    json!({
        "name": "t", "description": "Does.", "inputs": inputs,
        "tool_call_template": {"call_template_type": "cli", "commands": [{"command": command}]},
    })
}

fn manual(tool: &Value) -> Vec<u8> {
    json!({"utcp_version": "1.0.1", "manual_version": "1.0.0", "tools": [tool]}).to_string().into_bytes()
}

fn judged(tool: &Value) -> Result<ToolDefinition, Fault> {
    read(&manual(tool))?.remove(0).definition()
}

/// Inputs that have `x` and `y`, both texts, as far as `command` has them.
fn texts(command: &str) -> Value {
    let names: Vec<_> =
        ["x", "y"].into_iter().filter(|name| command.contains(&format!("ARG_{name}_"))).collect();
    let properties: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    json!({"type": "object", "properties": properties, "required": names})
}

#[track_caller]
fn refused(tool: &Value, what: &str) {
    let fault = judged(tool).unwrap_err();
    assert!(fault.what.contains(what), "{fault:?}");
    assert!(!fault.help.is_empty());
}

#[test]
fn a_command_is_words_with_places_for_arguments() {
    let command = "git log --grep=UTCP_ARG_x_UTCP_END -- UTCP_ARG_y_UTCP_END";
    let mut tool = listed(command, &texts(command));
    tool["tool_call_template"]["env_vars"] = json!({"LC_ALL": "C"});
    tool["tool_call_template"]["working_dir"] = json!("/work");
    let definition = judged(&tool).unwrap();
    let Runs::Command(command) = definition.runs else { panic!() };
    let text = |text: &str| Part::Text(text.to_owned());
    let argument = |name: &str| Part::Argument(name.to_owned());
    assert_eq!(
        command.words,
        [
            vec![text("git")],
            vec![text("log")],
            vec![text("--grep="), argument("x")],
            vec![text("--")],
            vec![argument("y")]
        ]
    );
    assert_eq!(command.directory.as_deref(), Some("/work"));
    assert_eq!(command.environment.get("LC_ALL").map(String::as_str), Some("C"));
    assert_eq!(definition.description, "Does.");
}

#[test]
fn no_argument_chooses_program_option_or_code() {
    for (command, what) in [
        ("UTCP_ARG_x_UTCP_END", "choose the program"),
        ("./UTCP_ARG_x_UTCP_END", "choose the program"),
        ("A=b c", "begins with a variable"),
        ("../x", "has the program `../x`"),
        ("tools/x", "has the program `tools/x`"),
        ("/usr/../bin/x", "has the program"),
        ("", "empty command"),
        ("ls -UTCP_ARG_x_UTCP_END", "right behind `-`"),
        ("grep -eUTCP_ARG_x_UTCP_END", "right behind `-e`"),
        ("git --UTCP_ARG_x_UTCP_END=1", "right behind `--`"),
        ("sh -c UTCP_ARG_x_UTCP_END", "`sh` takes code"),
        ("sh -c 'grep UTCP_ARG_x_UTCP_END f'", "`sh` takes code"),
        ("/bin/bash -ec 'echo UTCP_ARG_x_UTCP_END'", "`bash` takes code"),
        ("sh UTCP_ARG_x_UTCP_END", "`sh` takes code"),
        ("sh -e UTCP_ARG_x_UTCP_END", "`sh` takes code"),
        ("timeout 5 sh -c 'UTCP_ARG_x_UTCP_END'", "`timeout` takes code"),
        ("find . -exec sh -c UTCP_ARG_x_UTCP_END ';'", "`sh` takes code"),
        ("nice -n 10 UTCP_ARG_x_UTCP_END", "`nice` takes code"),
        ("bash -o pipefail UTCP_ARG_x_UTCP_END", "`bash` takes code"),
        ("bash -xec UTCP_ARG_x_UTCP_END", "`bash` takes code"),
        ("sh -- UTCP_ARG_x_UTCP_END", "`sh` takes code"),
        ("perl -ne UTCP_ARG_x_UTCP_END f", "`perl` takes code"),
        ("awk -F : UTCP_ARG_x_UTCP_END f", "`awk` takes code"),
        ("env UTCP_ARG_x_UTCP_END ls", "`env` takes code"),
        ("python3.12 -c 'print(UTCP_ARG_x_UTCP_END)'", "`python` takes code"),
        ("node --eval=UTCP_ARG_x_UTCP_END", "`node` takes code"),
        ("awk UTCP_ARG_x_UTCP_END f", "`awk` takes code"),
        ("sed s/a/UTCP_ARG_x_UTCP_END/ f", "`sed` takes code"),
        ("sed -e s/a/UTCP_ARG_x_UTCP_END/ f", "`sed` takes code"),
        ("xargs -I x UTCP_ARG_x_UTCP_END", "`xargs` takes code"),
        ("find -- -UTCP_ARG_x_UTCP_END", "option"),
        ("git -c UTCP_ARG_x_UTCP_END log", "`git` takes code"),
        ("git UTCP_ARG_x_UTCP_END", "`git` takes code"),
        ("make -- UTCP_ARG_x_UTCP_END", "`make` takes code"),
        ("sqlite3 :memory: UTCP_ARG_x_UTCP_END", "`sqlite` takes code"),
        ("ls; rm", "needs a shell"),
        ("ls $HOME", "needs a shell"),
    ] {
        refused(&listed(command, &texts(command)), what);
    }
    for command in [
        "sh ./x.sh UTCP_ARG_x_UTCP_END",
        "sh -c 'printf %s \"$1\"' x UTCP_ARG_x_UTCP_END",
        "python3 ./x.py --name UTCP_ARG_x_UTCP_END",
        "./tools/x UTCP_ARG_x_UTCP_END UTCP_ARG_y_UTCP_END",
        "sed -n -e s/a/b/p UTCP_ARG_x_UTCP_END",
        "sed -nE s/a/b/p UTCP_ARG_x_UTCP_END",
    ] {
        judged(&listed(command, &texts(command))).unwrap_or_else(|fault| panic!("{command}: {fault:?}"));
    }
}

#[test]
fn arguments_are_words_that_are_always_there() {
    let command = "ls UTCP_ARG_x_UTCP_END";
    for (inputs, what) in [
        (json!({"type": "object", "properties": {}}), "which its `inputs` have not"),
        (json!({"type": "object", "properties": {"x": {"type": "string"}}}), "need not be there"),
        (
            json!({"type": "object", "properties": {"x": {"type": "array"}}, "required": ["x"]}),
            "not one word",
        ),
        (json!({"type": "object", "properties": {"x": {}}, "required": ["x"]}), "not one word"),
        (
            json!({"type": "object", "properties": {"x": {"type": "string"}, "z": {"type": "string"}}, "required": ["x"]}),
            "`z`, and puts it nowhere",
        ),
        (json!({"type": "string", "properties": {"x": {"type": "string"}}, "required": ["x"]}), "object"),
    ] {
        refused(&listed(command, &inputs), what);
    }
    let inputs = json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]});
    judged(&listed(command, &inputs)).unwrap();
    let mut none = listed("date", &json!(null));
    none.as_object_mut().unwrap().remove("inputs");
    assert_eq!(judged(&none).unwrap().input_schema["additionalProperties"], json!(false));
}

#[test]
fn the_rest_of_a_template_is_read_strictly() {
    let base = listed("ls", &json!({"type": "object"}));
    let with = |name: &str, value: Value| {
        let mut tool = base.clone();
        tool["tool_call_template"][name] = value;
        tool
    };
    judged(&base).unwrap();
    judged(&with("auth", Value::Null)).unwrap();
    refused(&with("auth", json!({"auth_type": "basic"})), "has `auth`");
    refused(&with("commands", json!([{"command": "a"}, {"command": "b"}])), "exactly one");
    refused(&with("commands", json!([])), "exactly one");
    refused(&with("commands", json!([{"command": "a", "append_to_final_output": false}])), "drops");
    refused(&with("command_name", json!("ls")), "not a command of UTCP 1");
    refused(&with("working_dir", json!("work")), "`working_dir`");
    refused(&with("working_dir", json!("/a/../b")), "`working_dir`");
    refused(&with("env_vars", json!({"A B": "x"})), "variable");
    refused(&with("env_vars", json!({"GITHUB_TOKEN": "x"})), "like a credential");
    refused(&with("env_vars", json!({"A": "$HOME"})), "another's");
    refused(&with("env_vars", json!({"A": "UTCP_ARG_x_UTCP_END"})), "another's");
    refused(&with("call_template_type", json!("text")), "not served");
}

#[test]
fn a_manual_is_read_strictly() {
    let tool = listed("ls", &json!({"type": "object"}));
    let file = |version: &str, tools: Value| json!({"utcp_version": version, "tools": tools});
    let mut old = tool.clone();
    old["tool_provider"] = json!({});
    refused(&old, "tool_provider");
    for (document, what) in [
        (json!([]), "not a UTCP manual"),
        (file("0.1.0", json!([tool])), "UTCP 0.1.0"),
        (file("1.0.0", json!([tool, tool])), "two tools"),
        (file("1.0.0", json!([{"name": "a b"}])), "MCP knows tools"),
        (file("1.0.0", json!([{"name": "a", "runs": 1}])), "unknown field `runs`"),
        (json!({"utcp_version": "1.0.0", "tools": [], "extra": 1}), "unknown field `extra`"),
    ] {
        let fault = read(document.to_string().as_bytes()).unwrap_err();
        assert!(fault.what.contains(what), "{fault:?}");
    }
    assert!(read(b"{").unwrap_err().what.contains("not JSON"));
    let twice = br#"{"utcp_version": "1.0.0", "tools": [], "tools": []}"#;
    assert!(read(twice).unwrap_err().what.contains("twice"));
    let mut mute = tool.clone();
    mute.as_object_mut().unwrap().remove("description");
    refused(&mute, "does not say what");
}

fn request(template: &Value, inputs: &Value) -> Value {
    let mut tool = listed("", inputs);
    let mut whole = json!({"call_template_type": "http", "url": "https://api.example.com/users/{id}"});
    for (name, value) in template.as_object().unwrap() {
        whole[name] = value.clone();
    }
    tool["tool_call_template"] = whole;
    tool
}

#[test]
fn a_request_has_one_host_and_a_place_for_each_argument() {
    let inputs = json!({
        "type": "object", "required": ["id"],
        "properties": {"id": {"type": "string"}, "q": {"type": "string"}, "X-A": {"type": "string"}, "post": {}},
    });
    let template = json!({
        "http_method": "POST", "headers": {"Accept": "text/plain"}, "header_fields": ["X-A"], "body_field": "post", "auth": null,
    });
    let Runs::Http(http) = judged(&request(&template, &inputs)).unwrap().runs else { panic!() };
    assert_eq!(
        (http.method.as_str(), http.scheme.as_str(), http.host.as_str(), http.port),
        ("POST", "https", "api.example.com", 443)
    );
    assert_eq!(http.path, [Part::Text("/users/".to_owned()), Part::Argument("id".to_owned())]);
    assert_eq!(http.query.iter().collect::<Vec<_>>(), ["q"]);
    assert_eq!(http.headers.get("accept").map(String::as_str), Some("text/plain"));
    assert_eq!((http.body.as_deref(), http.content_type.as_str()), (Some("post"), "application/json"));
}

#[test]
fn a_request_is_read_strictly() {
    let inputs = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}});
    let not = |template: Value, what: &str| refused(&request(&template, &inputs), what);
    for url in [
        "https://{id}/x",
        "https://{id}.example.com/x",
        "https://u@h.example/{id}",
        "https://h.example/{id}?q=1",
        "https://h.example/{id}#x",
        "https://h.example/%2e/{id}",
        "https://h.example/../{id}",
        "https://*.example.com/{id}",
        "tcp://h.example:1",
        "file:///{id}",
        "h.example/{id}",
        "https://h.example/{id",
        "https://h.example/{}",
        "https://h.example:0/{id}",
        "https://0x7f.1/{id}",
        "{id}",
        "https://h.example$X/{id}",
    ] {
        not(json!({ "url": url }), "not one destination");
    }
    not(json!({"auth": {"auth_type": "api_key"}}), "has `auth`");
    not(json!({"auth_tools": {}}), "has `auth`");
    not(json!({"http_method": "CONNECT"}), "`CONNECT`");
    not(json!({"http_method": "get"}), "`get`");
    not(json!({"content_type": "a\r\nb"}), "content_type");
    for name in ["Host", "authorization", "Content-Length", "transfer-encoding", "cookie", "proxy-x"] {
        not(json!({"headers": {name: "x"}}), "not a tool's to write");
        not(json!({"header_fields": [name]}), "not a tool's to write");
    }
    not(json!({"headers": {"a b": "x"}}), "has a header");
    not(json!({"headers": {"a": "x\r\nb: c"}}), "no fixed line");
    not(json!({"headers": {"a": "${TOKEN}"}}), "no fixed line");
    not(json!({"headers": {"a": "x", "A": "y"}}), "twice");
    not(json!({"header_fields": ["other"]}), "`other`, which its `inputs` have not");
    not(json!({"header_fields": ["id"]}), "two places");
    not(json!({"body_field": "id"}), "a GET has no body");
    not(json!({"body_field": "id", "http_method": "PUT"}), "two places");
    not(json!({"body_field": "other", "http_method": "PUT"}), "`other`, which its `inputs` have not");
    not(json!({"retries": 3}), "unknown field");
    not(json!({"url": "https://h.example/{other}"}), "`other`, which its `inputs` have not");
    let optional = json!({"type": "object", "properties": {"id": {"type": "string"}}});
    refused(&request(&json!({}), &optional), "need not be there");
    let list = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "a": {"type": "array"}}});
    refused(&request(&json!({}), &list), "`a`, which is not one word");
}

#[test]
fn a_tool_of_a_server_says_which() {
    use super::mcp::{By, Meant};
    let tool = |name: &str, template: Value| -> Listed {
        let mut tool = json!({"name": name, "tool_call_template": template});
        tool["tool_call_template"]["call_template_type"] = "mcp".into();
        read(&manual(&tool)).unwrap().remove(0)
    };
    let files = |entry: Value| json!({"config": {"mcpServers": {"files": entry, "other": {"command": "x"}}}});
    let meant = |by| Some(Ok(Meant { name: "files".to_owned(), by }));
    let started = tool(
        "files.read",
        files(json!({"transport": "stdio", "command": "node", "args": ["a"], "env": {"A": "b"}})),
    );
    let env = std::iter::once(("A".to_owned(), "b".to_owned())).collect();
    assert_eq!(started.server(), meant(By::Command("node".to_owned(), vec!["a".to_owned()], env)));
    let remote = tool("files.read", files(json!({"type": "http", "url": "https://a.example/mcp"})));
    assert_eq!(remote.server(), meant(By::Url("https://a.example/mcp".to_owned())));
    for (name, template, what) in [
        ("read", files(json!({"command": "node"})), "does not say of which"),
        ("none.read", files(json!({"command": "node"})), "`config` has not"),
        ("files.read", files(json!({})), "neither one command"),
        ("files.read", files(json!({"command": "node", "url": "https://a.example"})), "neither one command"),
        ("files.read", files(json!({"command": "node", "transport": "sse"})), "neither one command"),
        ("files.read", files(json!({"command": "node", "cwd": "/"})), "unknown field `cwd`"),
        ("files.read", json!({"config": {}}), "not a server's tool"),
        (
            "files.read",
            json!({"config": {"mcpServers": {"files": {"command": "x"}}}, "auth": {"a": 1}}),
            "has `auth`",
        ),
    ] {
        let fault = tool(name, template).server().unwrap().unwrap_err();
        assert!(fault.what.contains(what), "{}", fault.what);
    }
    // One of no server is none.
    assert_eq!(read(&manual(&listed("ls", &json!({"type": "object"})))).unwrap().remove(0).server(), None);
}
