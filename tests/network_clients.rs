//! Network: ordinary programs that know nothing of a gateway reach what is declared, and find what they would find without
//! one. (What travels unchanged: `network_bytes`; what must not travel: `network_denied`.)

use std::fs;

use agentrc_test_support::client;
use agentrc_test_support::lab::copy_program;
use agentrc_test_support::world::ROOTS;
use agentrc_test_support::{Lab, World, as_each};

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");

/// Runs a shell script inside, with these lines in the Agentfile, and says that it went well.
#[track_caller]
fn works(lab: &Lab, world: &World<'_>, lines: &str, script: &str) -> String {
    let outcome = world.run(lines, &format!("set -eu\n{script}"));
    outcome.expect_code(0);
    assert!(outcome.events_named("denial").is_empty(), "as {}: {:?}", lab.who.name, outcome.events);
    outcome.out()
}

/// Makes something on the host, as the lab's identity, in the folder that the servers give out.
#[track_caller]
fn make(lab: &Lab, world: &World<'_>, script: &str) {
    let mut shell = lab.command("/bin/sh");
    shell.args(["-euc", &format!("cd '{}'\n{script}", world.served("").display())]);
    lab.finish_command(shell).expect_code(0);
}

#[test]
fn curl_fetches_over_http_and_https_of_both_versions() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let out = works(
            lab,
            &world,
            "URL http://api.example.com\nURL https://api.example.com\nURL https://api.example.com:8443",
            "curl -sS http://api.example.com/plain\ncurl -sS https://api.example.com/two\n\
             curl -sS --http1.1 https://api.example.com/one\ncurl -sS https://API.example.com:8443/eight",
        );
        assert_eq!(out, "hello from /plain\nhello from /two\nhello from /one\nhello from /eight\n");
        let seen: Vec<_> = world
            .requests()
            .into_iter()
            .map(|one| format!("{} {} {:?}", one.version, one.target, one.server_name.unwrap_or_default()))
            .collect();
        assert_eq!(
            seen,
            [
                r#"HTTP/1.1 /plain """#,
                r#"HTTP/2.0 /two "api.example.com""#,
                r#"HTTP/1.1 /one "api.example.com""#,
                r#"HTTP/1.1 /eight "api.example.com""#,
            ],
            "as {}",
            lab.who.name
        );
    });
}

#[test]
fn where_a_path_is_declared_curl_trusts_the_gateway_and_the_server_is_verified() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let out = works(
            lab,
            &world,
            "URL https://api.example.com/v1\nURL https://api.example.com:8443/v1\nURL https://other.example.com",
            "curl -sS https://api.example.com/v1/two\ncurl -sS --http1.1 https://api.example.com/v1/one\n\
             curl -sS https://api.example.com:8443/v1/eight\n\
             curl -sv https://api.example.com/v1/issuer 2>&1 | grep issuer:\n\
             curl -sv https://other.example.com/issuer 2>&1 | grep issuer:",
        );
        assert!(out.starts_with("hello from /v1/two\nhello from /v1/one\nhello from /v1/eight\n"), "{out}");
        let issuers: Vec<&str> =
            out.lines().filter_map(|line| line.split_once("issuer:")).map(|(_, it)| it.trim()).collect();
        // Seen where they must be, and end to end where they need not.
        assert_eq!(issuers, ["CN=agentrc: this run of client", "CN=the world's authority"]);
        let requests = world.requests();
        assert_eq!(requests.len(), 5);
        assert!(requests.iter().all(|one| one.scheme == "https" && !one.headers.contains_key("via")));
    });
}

#[test]
fn pip_downloads_a_wheel_from_an_index() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        make(
            lab,
            &world,
            "mkdir -p simple/tiny && /usr/bin/python3 - <<'END'\n\
             import zipfile\n\
             wheel = zipfile.ZipFile('tiny-1.0-py3-none-any.whl', 'w')\n\
             wheel.writestr('tiny.py', 'print(1)\\n')\n\
             wheel.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')\n\
             wheel.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
             wheel.writestr('tiny-1.0.dist-info/RECORD', '')\n\
             wheel.close()\n\
             END\n\
             echo '<!DOCTYPE html><a href=\"../../tiny-1.0-py3-none-any.whl\">tiny-1.0-py3-none-any.whl</a>' > simple/tiny/index.html",
        );
        for line in ["URL https://api.example.com", "URL https://api.example.com/files"] {
            world.forget();
            // Passed through it is the system's certificates that count, of which pip has a copy of its own.
            works(
                lab,
                &world,
                line,
                &format!(
                    "cd /scratch && PIP_CERT={ROOTS} /usr/bin/python3 -m pip download -q --no-cache-dir \
                     --disable-pip-version-check --index-url https://api.example.com/files/simple/ tiny && test -s tiny-1.0-py3-none-any.whl"
                ),
            );
            assert!(
                world.asked().iter().any(|one| one.ends_with("/files/tiny-1.0-py3-none-any.whl")),
                "{line}"
            );
        }
    });
}

#[test]
fn npm_installs_from_a_registry() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        make(
            lab,
            &world,
            "mkdir package && echo '{\"name\":\"tiny\",\"version\":\"1.0.0\"}' > package/package.json &&\n\
             echo 'installed' > package/file && tar -czf tiny-1.0.0.tgz package &&\n\
             echo '{\"name\":\"tiny\",\"dist-tags\":{\"latest\":\"1.0.0\"},\"versions\":{\"1.0.0\":{\"name\":\"tiny\",\"version\":\"1.0.0\",\
             \"dist\":{\"tarball\":\"https://api.example.com/files/tiny-1.0.0.tgz\"}}}}' > tiny",
        );
        for line in ["URL https://api.example.com", "URL https://api.example.com/files"] {
            world.forget();
            works(
                lab,
                &world,
                line,
                &format!(
                    "mkdir /scratch/app && cd /scratch/app && export npm_config_cache=/scratch/cache\n\
                     NODE_EXTRA_CA_CERTS=${{NODE_EXTRA_CA_CERTS:-{ROOTS}}} npm install --no-audit --no-fund --no-update-notifier \
                     --registry https://api.example.com/files/ tiny && cat node_modules/tiny/file"
                ),
            );
            assert!(world.asked().iter().any(|one| one.ends_with("/files/tiny-1.0.0.tgz")), "{line}");
        }
    });
}

const PYTHON: &str = r#"/usr/bin/python3 - <<'END'
import http.client, urllib.request
print(urllib.request.urlopen("https://api.example.com/v1/urllib").read())
print(urllib.request.urlopen(urllib.request.Request("http://api.example.com/echo", data=b"posted")).read())
one = http.client.HTTPSConnection("api.example.com")
for path in ("/v1/first", "/v1/second"):
    one.request("GET", path)
    print(one.getresponse().read())
END"#;

#[test]
fn python_fetches_with_what_it_brings() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for line in ["URL https://api.example.com", "URL https://api.example.com/v1"] {
            world.forget();
            let out = works(lab, &world, &format!("URL http://api.example.com\n{line}"), PYTHON);
            assert_eq!(
                out,
                "b'hello from /v1/urllib\\n'\nb'posted'\nb'hello from /v1/first\\n'\nb'hello from /v1/second\\n'\n",
                "{line}"
            );
            assert_eq!(
                world.asked(),
                [
                    "GET https://api.example.com/v1/urllib",
                    "POST http://api.example.com/echo",
                    "GET https://api.example.com/v1/first",
                    "GET https://api.example.com/v1/second",
                ]
            );
        }
    });
}

const NODE: &str = r#"/usr/bin/node - <<'END'
const https = require("https");
(async () => {
  console.log(await (await fetch("https://api.example.com/v1/fetch")).text());
  console.log(await (await fetch("http://api.example.com/echo", { method: "POST", body: "posted" })).text());
  https.get("https://api.example.com/v1/https", (answer) => answer.on("data", (data) => console.log(String(data))));
})();
END"#;

#[test]
fn node_fetches_with_what_it_brings() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        for line in ["URL https://api.example.com", "URL https://api.example.com/v1"] {
            world.forget();
            let script = format!("export NODE_EXTRA_CA_CERTS=${{NODE_EXTRA_CA_CERTS:-{ROOTS}}}\n{NODE}");
            let out = works(lab, &world, &format!("URL http://api.example.com\n{line}"), &script);
            assert_eq!(out, "hello from /v1/fetch\n\nposted\nhello from /v1/https\n\n", "{line}");
            assert_eq!(world.requests().len(), 3);
        }
    });
}

#[test]
fn a_program_in_rust_resolves_and_connects() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        copy_program(client::program(), &lab.project("client"));
        let out = works(
            lab,
            &world,
            "BIND ./client /client ro\nURL http://api.example.com\nURL tcp://www.example.com:7000",
            "/client",
        );
        assert_eq!(out, "http/1.1 200 ok\nback\n", "as {}", lab.who.name);
        assert_eq!(world.asked(), ["GET http://api.example.com/rust"]);
    });
}

/// Passed through, it finds the system's certificates where they are; terminated, `SSL_CERT_FILE` is the run's.
#[test]
fn a_program_in_rust_speaks_https_of_both_versions() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        copy_program(client::https(AGENTRC), &lab.project("client"));
        for line in ["URL https://api.example.com", "URL https://api.example.com/v1"] {
            world.forget();
            let out = works(
                lab,
                &world,
                &format!("BIND ./client /client ro\n{line}"),
                "/client api.example.com /v1",
            );
            let version = |name: &str| format!("{name} 200 hello from /v1\n").repeat(2) + "echoed: true\n";
            assert_eq!(out, version("HTTP/1.1") + &version("HTTP/2.0"), "as {}: {line}", lab.who.name);
            let versions: Vec<_> = world.requests().into_iter().map(|one| one.version).collect();
            assert_eq!(versions.len(), 6, "as {}: {line}", lab.who.name);
            if line.ends_with(".com") {
                assert!(versions.iter().take(3).all(|version| version == "HTTP/1.1"), "{versions:?}");
            }
        }
    });
}

#[test]
fn ipv6_is_as_good_as_ipv4() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let out = works(
            lab,
            &world,
            "URL http://api.example.com\nURL https://six.example.com\nURL http://[2606:2800:220:1::1]:8081",
            "curl -sS -6 http://api.example.com/a\ncurl -sS -4 http://api.example.com/b\n\
             curl -sS -4 https://six.example.com/c\ncurl -sS 'http://[2606:2800:220:1::1]:8081/d'",
        );
        assert_eq!(out, "hello from /a\nhello from /b\nhello from /c\nhello from /d\n");
        let at = world.requests().last().map(|one| one.at.to_string());
        assert_eq!(at.as_deref(), Some("2606:2800:220:1::1"));
    });
}

#[test]
fn a_private_address_is_reached_where_it_is_declared_and_granted() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let lines = "URL http://127.0.0.1:8081\nURL tcp://10.0.0.9:7000\nURL http://[::1]:80";
        let out = works(
            lab,
            &world,
            lines,
            "curl -sS http://127.0.0.1:8081/a\ncurl -sS 'http://[::1]/b'\n/usr/bin/python3 -c 'import socket; s = socket.create_connection((\"10.0.0.9\", 7000)); s.send(b\"back\"); s.shutdown(1); print(s.recv(9))'",
        );
        assert_eq!(out, "hello from /a\nhello from /b\nb'back'\n");
        assert_eq!(world.asked(), ["GET http://127.0.0.1:8081/a", "GET http://[::1]/b"]);
        // Without consent there is no run.
        world.forget();
        let ungranted =
            lab.finish_command(lab.agentrc(["run".as_ref(), lab.project("Agentfile").as_os_str()]));
        ungranted.expect_refusal(&["127.0.0.1"]);
        assert!(world.arrivals().is_empty());
    });
}

#[test]
fn a_wildcard_takes_in_one_label_and_no_more() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let outcome = world.run(
            "URL https://*.wild.example.com\nURL http://*.wild.example.com",
            "curl -sS https://a.wild.example.com/a\ncurl -sS http://b.wild.example.com/b\n\
             curl -sS https://wild.example.com/c || true\ncurl -sS https://deep.er.wild.example.com/d || true",
        );
        assert!(outcome.out().starts_with("hello from /a\nhello from /b\n"), "{}", outcome.out());
        assert_eq!(world.asked(), ["GET https://a.wild.example.com/a", "GET http://b.wild.example.com/b"]);
        let denied: Vec<String> =
            outcome.events_named("denial").iter().map(|event| event.to_string()).collect();
        for name in ["wild.example.com", "deep.er.wild.example.com"] {
            let act = format!("\"act\":\"resolve {name}\"");
            assert!(
                denied.iter().any(|event| event.contains(&act)),
                "as {}: {name}: {denied:?}",
                lab.who.name
            );
        }
    });
}

#[test]
fn the_real_names_and_addresses_of_the_host_are_not_shown() {
    as_each(AGENTRC, |lab| {
        let world = World::new(lab);
        let out = works(
            lab,
            &world,
            "URL http://api.example.com",
            "cat /etc/hosts /etc/resolv.conf\ngetent ahosts api.example.com",
        );
        assert!(
            fs::read_to_string(lab.path("world/hosts")).expect("hosts").contains("93.184.216.34 api"),
            "control"
        );
        assert!(!out.contains("93.184") && !out.contains("2606:") && out.contains("198.18."), "{out}");
    });
}
