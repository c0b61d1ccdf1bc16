//! Facts of calls, and what has no form.

use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value}") };
    members
}

/// What a call of `arguments` is decided about, whose tool declares no facts, and what it gets.
fn named(arguments: Value) -> Result<(Vec<Seen>, Value), String> {
    let mut arguments = object(arguments);
    let seen = take(&Facts::default(), &mut arguments, "/work")?;
    Ok((seen, Value::Object(arguments)))
}

fn paths(arguments: Value) -> Vec<String> {
    named(arguments).unwrap().0.into_iter().map(|seen| seen.path).collect()
}

#[test]
fn a_path_has_one_form() {
    for (text, wanted) in [
        ("/work/a", "/work/a"),
        ("a", "/work/a"),
        ("./a//b/./c/", "/work/a/b/c"),
        ("../etc/passwd", "/etc/passwd"),
        ("/../../x/..", "/"),
        ("/work/..", "/"),
    ] {
        assert_eq!(path(text, "/work").as_deref(), Ok(wanted), "{text}");
        assert_eq!(paths(json!({ "path": text })), [wanted], "{text}");
    }
    assert!(path("", "/work").is_err() && path("a\0b", "/work").is_err());
}

#[test]
fn what_a_server_gets_is_what_was_decided_about_and_what_it_understands() {
    for (text, seen, given) in [
        ("src/main.rs", "/work/src/main.rs", "src/main.rs"),
        (".", "/work", "."),
        ("", "/work", ""),
        ("a/..", "/work", "."),
        ("./a//b/", "/work/a/b", "a/b"),
        ("../x/../../y", "/y", "../../y"),
        ("../../../etc", "/etc", "../../../etc"),
        ("/a/../../b", "/b", "/b"),
        ("..a/...", "/work/..a/...", "..a/..."),
    ] {
        let (found, arguments) = named(json!({ "path": text })).unwrap();
        assert_eq!((found[0].path.as_str(), &arguments["path"]), (seen, &json!(given)), "{text}");
        // Read from where the server is, they are the same.
        assert_eq!(paths(json!({ "path": given })), [seen], "{text}");
    }
    for text in ["~", "~/.ssh/id", "~root/x", "file:///etc/passwd", "FILE:x", "a\0b"] {
        assert!(named(json!({ "path": text })).is_err(), "{text}");
    }
    let (found, arguments) = named(json!({ "url": "HTTP://A.example", "method": "get" })).unwrap();
    assert_eq!((found[0].method.as_str(), &arguments["method"]), ("GET", &json!("get")));
    let url = "http://a.example/";
    assert_eq!(
        (found[0].url.as_str(), found[0].host.as_str(), &arguments["url"]),
        (url, "a.example", &json!(url))
    );
}

#[test]
fn all_that_is_named_is_decided_about_wherever_it_is() {
    let wanted = |names: &[&str]| names.iter().map(|name| format!("/work/{name}")).collect::<Vec<_>>();
    let call = json!({ "path": null, "source": "a", "destination": "b", "overwrite": true });
    assert_eq!(paths(call), wanted(&["a", "b"]));
    assert_eq!(paths(json!({ "paths": ["a", "b", "a"] })), wanted(&["a", "b"]));
    assert_eq!(paths(json!({ "files": [{ "path": "./a", "content": "../c" }] })), wanted(&["a"]));
    for name in ["file", "FILE_PATH", "outputDir", "src"] {
        assert_eq!(paths(json!({ name: "a" })), wanted(&["a"]), "{name}");
    }
    // What says something else, and what is no text.
    for name in ["content", "pathological", "source_language", "profile", "xpaths_", "hosting"] {
        assert_eq!(paths(json!({ name: "/etc/shadow" })), [""], "{name}");
    }
    assert_eq!(named(json!({ "path": 3, "url": [] })).unwrap().0, [Seen::default()]);
    // Left as they are, so that they must have one meaning.
    let (_, given) = named(json!({ "file": "a//b/./c", "source": "a/b" })).unwrap();
    assert_eq!(given, json!({ "file": "a//b/./c", "source": "a/b" }));
    for text in ["/data/../etc", "..", "a/..", "~/x", "file:///etc"] {
        assert!(named(json!({ "file": text })).is_err(), "{text}");
    }
    let (found, _) =
        named(json!({ "source": "https://A.example/x", "target_url": "s3://bucket/y" })).unwrap();
    let urls: Vec<_> = found.iter().map(|seen| (seen.url.as_str(), seen.host.as_str())).collect();
    assert_eq!(urls, [("https://a.example/x", "a.example"), ("s3://bucket/y", "bucket")]);
    for (host, wanted) in
        [("A.Example", "a.example"), ("a.example:81", "a.example"), ("[::1]", "::1"), ("", "")]
    {
        assert_eq!(named(json!({ "host": host })).unwrap().0[0].host, wanted, "{host}");
    }
    for host in ["127.1", "0x7f000001", "a b", "u@a"] {
        assert!(named(json!({ "host": host })).is_err(), "{host}");
    }
    for url in ["a.example/x", "file:///etc/passwd", "http://a/../b", "ftp://a"] {
        assert!(named(json!({ "url": url })).is_err(), "{url}");
    }
    for url in ["file:///etc/passwd", "http://a/../b", "s3://a/../b"] {
        assert!(named(json!({ "base_url": url })).is_err(), "{url}");
    }
    for (url, wanted, host) in [
        // What adds a scheme, adds this one.
        ("A.example:8080/x", "https://a.example:8080/x", "a.example"),
        ("memo:note", "memo:note", ""),
        ("memo://a_b/c", "memo://a_b/c", "a_b"),
        ("nothing of the kind", "", ""),
        // As the URL Standard reads it.
        (" https://A.example/\n", "https://a.example/", "a.example"),
        ("ht\ntps://a.example/b c", "https://a.example/b%20c", "a.example"),
        ("wss://A.example:1/x", "wss://A.example:1/x", "a.example"),
        ("postgres://u:p@db.example/t", "postgres://db.example/t", "db.example"),
        ("git@A.example:o/r.git", "git@A.example:o/r.git", "a.example"),
    ] {
        for call in [json!({ "base_url": url }), json!({ "urls": [url] }), json!({ "a": { "url": url } })] {
            let (found, given) = named(call.clone()).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!((found[0].url.as_str(), found[0].host.as_str(), given), (wanted, host, call));
        }
    }
    for url in [
        "u@a.example/",
        "a.example/%2e",
        "127.1/x",
        "//a.example/",
        "a.example/b//c",
        "https://a.example\\@b/",
    ] {
        assert!(named(json!({ "base_url": url })).is_err(), "{url}");
    }
    // Names and values below a name that says it.
    assert_eq!(
        paths(json!({ "files": { "/etc/x": "a", "b.txt": "c", "d": 1 } })),
        ["/etc/x", "/work/b.txt", "/work/d"]
    );
    assert_eq!(paths(json!({ "file": { "name": "/etc/passwd", "mode": "r" } })), ["/etc/passwd"]);
    assert_eq!(named(json!({ "urls": { "a": "https://a.example/" } })).unwrap().0[0].host, "a.example");
    // Below where it is told to be, too; and what some take away from it.
    assert_eq!(paths(json!({ "repo_path": "/srv/r", "files": ["a"] })), ["/srv/r", "/srv/r/a", "/work/a"]);
    assert_eq!(paths(json!({ "file": " /etc/x " })), ["/etc/x", "/work/ /etc/x "]);
    // Somebody's data may have such a name, too: it is decided about, and stays what it is.
    let data = json!({ "value": { "url": "HTTP://A.example", "path": "a//b", "link": [1] } });
    let (found, given) = named(data.clone()).unwrap();
    assert_eq!(
        (found[0].url.as_str(), found[0].path.as_str(), given),
        ("http://a.example/", "/work/a/b", data)
    );
    // Each path with each URL; and not without end.
    let some = |number: usize| (0..number).map(|n| format!("n{n}")).collect::<Vec<_>>();
    let hosts = |number| some(number).iter().map(|name| format!("http://{name}/")).collect::<Vec<_>>();
    assert_eq!(named(json!({ "paths": some(16), "urls": hosts(16) })).unwrap().0.len(), 256);
    assert!(named(json!({ "paths": some(17), "urls": hosts(16) })).unwrap_err().contains("256"));
}

/// Nothing beside a path keeps it from being decided about.
#[test]
fn a_decoy_hides_nothing() {
    for (call, wanted) in [
        // A name, beside one that is an argument's.
        (json!({ "files": { "/data/x": "evil", "file": "ok" } }), "/data/x"),
        (json!({ "files": { "Makefile": "evil" } }), "/work/Makefile"),
        (json!({ "files": { "Makefile": "evil", "path": "ok" } }), "/work/Makefile"),
        (json!({ "files": { "a.b": { "path": "/data/x" } } }), "/data/x"),
        (json!({ "files": { "data": { "x": "evil" } } }), "/work/data/x"),
        (json!({ "dir": { "data": { "lib": { "x": "evil" } } } }), "/work/data/lib/x"),
        (json!({ "files": { "content": "/data/x" } }), "/data/x"),
        // A name that ends as an argument's does.
        (json!({ "files": [{ "/data/x.path": "[Path]" }] }), "/data/x.path"),
        (json!({ "file": { "/data/file1": "* * *" } }), "/data/file1"),
        // In another case, as Go compares them, or with what is taken away around it.
        (json!({ "pATH": "/data/x" }), "/data/x"),
        (json!({ "file": "\u{feff}/data/x" }), "/data/x"),
        (json!({ "file": "\u{1f}/data/x" }), "/data/x"),
        // A value, beside a path.
        (json!({ "files": [{ "name": "/data/x", "path": "ok" }] }), "/data/x"),
        (json!({ "file": { "name": "/data/x", "path": "ok", "content": "evil" } }), "/data/x"),
        // Longer than a path, or of several lines, until somebody makes it shorter.
        (json!({ "files": [{ "name": format!("{}/data/x", "/.".repeat(4000)) }] }), "/data/x"),
        (json!({ "file": { "name": format!("/{}data/x", "./".repeat(4000)) } }), "/data/x"),
        // Below another path than the one that is beside it.
        (json!({ "root": "/data", "file": "x", "dest": "/tmp" }), "/data/x"),
        (json!({ "root": "/data", "files": [{ "path": "x" }] }), "/data/x"),
        (json!({ "root": "/data", "files": [{ "path": "x", "src": "/tmp" }] }), "/data/x"),
        (json!({ "root": format!("/{}data", "./".repeat(4000)), "file": "x" }), "/data/x"),
        (json!({ "root": "data", "files": ["x"] }), "/work/data/x"),
        (json!({ "repo": "/data", "file": "x" }), "/data/x"),
        (json!({ "repo": "\u{feff}/data" }), "/data"),
        (json!({ "project_root": "/data", "file": "x" }), "/data/x"),
        (json!({ "cwd": "data", "root": { "lib": { "x": "" } } }), "/work/data/lib/x"),
        // Where nothing is said, it is the folder itself.
        (json!({ "dir": "" }), "/work"),
        (json!({ "root": "/data", "dir": "" }), "/data"),
    ] {
        let found = paths(call.clone());
        assert!(found.iter().any(|path| path == wanted), "{call}: {found:?}");
    }
    for call in [
        json!({ "file": { "name": "/a\n/../data/x" } }),
        json!({ "files": { "../data/x": "evil", "file": "ok" } }),
        json!({ "files": { "~/x": "evil" } }),
        json!({ "file": "\u{feff}~/x" }),
        json!({ "file": "$HOME/x" }),
        // What it is put into would be read as another.
        json!({ "path": "./~/x" }),
        json!({ "path": "a/../~/x" }),
        json!({ "path": "./https://a.example/" }),
        // What the SDK for Python makes another value of.
        json!({ "files": "[\"/data/x\"]" }),
        json!({ "path": " null" }),
        json!({ "urls": "[\"http://a.example/\"]" }),
        // What node reads as a URL.
        json!({ "file": "https:/a.example/x" }),
        json!({ "file": "https:a.example" }),
        json!({ "file": "\u{1}file:///data/x" }),
    ] {
        assert!(named(call.clone()).is_err(), "{call}");
    }
    for call in [
        json!({ "urls": { "a": "ht\ntps://a.example/" } }),
        json!({ "urls": { "https://a.example/": "x" } }),
        json!({ "urls": { "text": "https://a.example/" } }),
        json!({ "files": { "https://a.example/": "x" } }),
        json!({ "file": "https:\n//a.example/" }),
        json!({ "file": "\u{1}https://a.example/x" }),
        json!({ "repo_url": "a.example:o/r" }),
        json!({ "hosts": 1, "host": { "a": "http://a.example/", "host": "" } }),
    ] {
        let found = named(call.clone()).unwrap().0;
        assert!(found.iter().any(|seen| seen.host == "a.example"), "{call}: {found:?}");
    }
    // What is in a file is not where it is.
    let call = json!({ "files": [{ "path": "a.c", "content": "/* one line */" }, { "path": "b.c", "newText": "../x" }] });
    assert_eq!(paths(call), ["/work/a.c", "/work/b.c"]);
    for text in ["https://a.example is ours\n", "file: app.log\nlevel: info", "[id]", "$a: red;", "# /a\n"] {
        assert_eq!(paths(json!({ "files": { "R.md": text } })), ["/work/R.md"], "{text}");
        assert_eq!(named(json!({ "files": { "R.md": text } })).unwrap().0[0].host, "", "{text}");
    }
    assert_eq!(
        paths(json!({ "files": { "units/a.path": "[Path]" }, "file": "[id].tsx" })),
        ["/work/[id].tsx", "/work/units/a.path"]
    );
    assert_eq!(paths(json!({ "repo": "agentrc", "path": "src" })), ["/work/src"]);
    let call = json!({ "file": { "path": "a.c", "lines": "/* one\n * and another */\nint main;" } });
    assert_eq!(paths(call), ["/work/a.c"]);
}

/// Two megabytes, as much as a message may have: refused before they have become more.
#[test]
fn what_names_much_is_refused_before_it_costs_much() {
    let long = "a".repeat(1 << 20);
    let items: Vec<_> = (0..150_000).map(|number| number.to_string()).collect();
    let few: Vec<_> = (0..200).map(|number| format!("{}/{number}", "b/".repeat(1000))).collect();
    let decoys: Map<String, Value> =
        (0..200).map(|number| (format!("path{number}"), json!(few[number]))).collect();
    let mut bases: Map<String, Value> =
        (0..257).map(|number| (format!("path{number}"), json!(format!("/{number}")))).collect();
    bases.insert("a_path".to_owned(), json!(format!(" {}x", "./".repeat(900_000))));
    let same: Vec<_> = items.iter().map(|_| json!({ "file": "x" })).collect();
    for call in [
        json!({ "path": format!("/{long}"), "files": items }),
        json!({ "root": format!("/{}", "r/".repeat(2000)), "files": items }),
        json!({ "file": long }),
        json!(bases),
        json!({ "base_url": format!("https://a.example/{long}") }),
        json!({ "base_url": format!("u@a.example:{long}") }),
        json!({ "files": { "a": decoys, "b": same } }),
        json!({ "root": "/r", "files": same.iter().chain(&same).collect::<Vec<_>>() }),
    ] {
        let why = named(call).unwrap_err();
        assert!(why.contains("longer than") || why.contains("more than the 256"), "{}", &why[..100]);
    }
    // Nothing that it names: numbers below a name that is long.
    let (found, _) = named(json!({ "x": { (long): vec![1; 500_000] } })).unwrap();
    assert_eq!(found, [Seen::default()]);
}

#[test]
fn a_url_has_one_form_or_is_refused() {
    let canonical = |text| canonical_url(text).map(|(url, _)| url);
    assert_eq!(
        canonical("HTTPS://API.Example.com:443/a?b=c").as_deref(),
        Ok("https://api.example.com/a?b=c")
    );
    assert_eq!(canonical("http://[::1]:81/").as_deref(), Ok("http://[::1]:81/"));
    assert_eq!(canonical_url("http://[::ffff:127.0.0.1]/").map(|(_, host)| host).as_deref(), Ok("127.0.0.1"));
    assert_eq!(canonical("https://a/%20b?%61").as_deref(), Ok("https://a/%20b?%61"));
    for text in [
        "ftp://a/",
        "/a",
        "https://u@a/",
        "https://a/b/../c",
        "https://a/%2e%2e/c",
        "https://a/b%2Fc",
        "https://a//b",
        "https://a/..",
        "https://a/%61dmin",
        "https://a/x%2Dy",
        "https://a\\@b/",
        "https://*.example.com/",
        "https://a!b/",
        "https://-a/",
        "https://a./",
        "https://a:b/",
        "https://a:65536/",
        "https://a:/",
        "https://127.1/",
        "https://0x7f000001/",
        "",
    ] {
        assert!(canonical_url(text).is_err(), "{text}");
    }
    // Longer than a name can be, and than a report.
    assert!(canonical_url(&format!("https://{}.example/", "a".repeat(64))).is_err());
    assert!(canonical_url(&format!("https://{}example/", "a.".repeat(20_000))).is_err());
}

#[test]
fn a_resource_has_one_form_or_is_refused() {
    for uri in [
        "file:///data/a",
        "memo://notes/1",
        "str:abc",
        "https://a.example/b?c",
        "db://h/t?q=1",
        "greeting://World",
        "a:",
    ] {
        assert_eq!(resource(uri), Ok(()), "{uri}");
    }
    for uri in [
        "",
        "data",
        "FILE:///a",
        "file://host/a",
        "file:a",
        "file:/../a",
        "file:///a/../b",
        "file:///a/./b",
        "file:///a//b",
        "file:////a",
        "file:///a/%2e%2e/b",
        "file:///a%2Fb",
        "file:///%61",
        "file:///a\\b",
        "file:///a b",
        "file:///a\n",
        "memo://x/..",
        "x:..",
        "é:a",
        "HTTPS://a.example/",
        "https://a.example/b/../c",
        "https://a.example:443/",
        "1a:b",
        ":a",
        "file:/data/secret",
        "file:///data/secret?x",
        "file:///data/secret#x",
        "file:///data/public/x?/../../../etc/passwd",
        "file:///data/secret/",
        "file:////etc",
        "memo://a/b#c",
        "memo://a/b?/../c",
        "memo://a/b?p=..",
        "db://u@prod/t",
        "memo://private:/a",
        "db://h:080/t",
        "db://pro%64/t",
        "memo://public%2f..%2fx/a",
        "memo://a/%252e%252e/b",
    ] {
        assert!(resource(uri).is_err(), "{uri}");
    }
    assert!(resource(&format!("a:{}", "b".repeat(5000))).is_err());
}

#[test]
fn arguments_are_left_as_they_were_decided_about() {
    let facts = Facts { path: Some("file".to_owned()), ..Facts::default() };
    let Value::Object(mut arguments) = json!({ "file": "../secret/./x", "other": "../y" }) else { panic!() };
    let seen = declared(&facts, &mut arguments, "/work").unwrap();
    assert_eq!(
        (seen.path.as_str(), &arguments["file"], &arguments["other"]),
        ("/secret/x", &json!("/secret/x"), &json!("../y"))
    );
    let mut arguments = object(json!({ "file": 3 }));
    assert!(declared(&facts, &mut arguments, "/work").is_err());
}
