//! Sources on this host: variables, files, dotenv files; and what `BROKER` asks for.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use agentfile::plan::BrokerEntry;
use agentrc_broker::credential::{Environment, Error, Family, Resolver, family};

/// A folder with an Agentfile's surroundings.
struct Place {
    folder: tempfile::TempDir,
    environment: Environment,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let variables = |name: &str| match name {
        "TOKEN" => Some(OsString::from("canary-of-env")),
        "EMPTY" => Some(OsString::new()),
        "LINES" => Some(OsString::from("canary-1\ncanary-2")),
        "SHORT" => Some(OsString::from("canary")),
        "BYTES" => Some(OsString::from_vec(vec![0xff; 9])),
        _ => None,
    };
    let environment = Environment {
        folder: path.join("project"),
        home: Some(path.join("home")),
        keyring: path.join("keyring"),
        variables: Box::new(variables),
    };
    for name in ["project/sub", "home", "keyring"] {
        std::fs::create_dir_all(path.join(name)).unwrap();
    }
    Place { folder, environment }
}

impl Place {
    fn write(&self, name: &str, text: &[u8], mode: u32) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn value(&self, source: &str) -> Result<Vec<u8>, Error> {
        Resolver::new(&self.environment).resolve(source).map(|value| value.expose().to_vec())
    }

    /// The error, which names the source and shows no value.
    fn refusal(&self, source: &str) -> Error {
        let error = self.value(source).unwrap_err();
        assert!(error.to_string().contains(source), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        error
    }
}

#[test]
fn a_variable_is_a_value() {
    let place = place();
    assert_eq!(place.value("env:TOKEN").unwrap(), b"canary-of-env");
    assert_eq!(place.value("env:BYTES").unwrap(), [0xff; 9]);
    for name in ["NONE", "EMPTY"] {
        assert!(matches!(place.refusal(&format!("env:{name}")), Error::Variable { .. }));
    }
}

#[test]
fn what_no_header_can_hold_is_refused_by_the_source_s_name() {
    let place = place();
    for name in ["LINES", "SHORT"] {
        assert!(matches!(place.refusal(&format!("env:{name}")), Error::Value { .. }));
    }
}

#[test]
fn a_file_is_relative_to_the_agentfile_or_to_the_home() {
    let place = place();
    place.write("project/a", b"canary-a\n", 0o600);
    place.write("project/sub/b", b"canary-b\r\n", 0o640);
    place.write("home/c", b"canary-c\n\n", 0o600);
    place.write("home/d", b"canary-d", 0o644);
    assert_eq!(place.value("file:a").unwrap(), b"canary-a");
    assert_eq!(place.value("file:./sub/b").unwrap(), b"canary-b");
    assert_eq!(place.value("file:~/d").unwrap(), b"canary-d");
    let absolute = place.folder.path().join("home/d");
    assert_eq!(place.value(&format!("file:{}", absolute.display())).unwrap(), b"canary-d");
    symlink("../home/d", place.folder.path().join("project/link")).unwrap();
    assert_eq!(place.value("file:link").unwrap(), b"canary-d");
    // One line end is the editor's; a second is part of the value.
    assert!(matches!(place.refusal("file:~/c"), Error::Value { .. }));
    assert!(matches!(place.refusal("file:~root/x"), Error::Source { .. }));
}

#[test]
fn a_file_that_others_can_write_or_that_is_none_is_refused() {
    let place = place();
    place.write("project/group", b"canary-12", 0o620);
    place.write("project/world", b"canary-12", 0o602);
    place.write("project/large", &[b'x'; 65537], 0o600);
    let pipe = place.folder.path().join("project/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for (name, what) in [
        ("group", "written by others: run `chmod go-w`"),
        ("world", "written by others"),
        ("large", "more than 65536 bytes"),
        ("pipe", "not a regular file"),
        ("sub", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("none", "cannot be opened"),
    ] {
        let error = place.refusal(&format!("file:{name}"));
        assert!(matches!(error, Error::File { .. }) && error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    let place = place();
    place.write("project/theirs", b"canary-12", 0o600);
    let path = place.folder.path().join("project/theirs");
    // Only root can give a file away; for others, a file of root's must do, which they may trust.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert!(place.refusal("file:theirs").to_string().contains("belongs to another user"));
    } else {
        assert!(place.value("file:/proc/version").is_ok());
    }
}

#[test]
fn a_dotenv_file_gives_the_key_that_is_asked_for() {
    let place = place();
    place.write("project/.env", b"API=canary-of-dotenv\nexport OTHER='canary other'\n", 0o600);
    place.write("home/app.env", b"API=canary-of-home # x\n", 0o600);
    assert_eq!(place.value("dotenv:API").unwrap(), b"canary-of-dotenv");
    assert_eq!(place.value("dotenv:.env#OTHER").unwrap(), b"canary other");
    assert_eq!(place.value("dotenv:~/app.env#API").unwrap(), b"canary-of-home");
    assert!(matches!(place.refusal("dotenv:NONE"), Error::Dotenv { .. }));
    assert!(matches!(place.refusal("dotenv:none.env#API"), Error::File { .. }));
    for source in ["dotenv:.env", "dotenv:sub/x", "dotenv:.env#", "dotenv:.env#a b"] {
        assert!(matches!(place.refusal(source), Error::Source { .. }), "{source}");
    }
}

#[test]
fn no_other_source_is_read() {
    let place = place();
    for source in ["command:echo x", "TOKEN", "", "ENV:TOKEN", "https://x"] {
        assert!(matches!(place.value(source).unwrap_err(), Error::Source { .. }), "{source}");
    }
}

fn entries(families: &[&str], sources: &[&str]) -> Vec<BrokerEntry> {
    let origin = "Agentfile:1:1";
    let family = families
        .iter()
        .map(|family| serde_json::json!({ "kind": "credential-broker", "family": family, "origin": origin }));
    let source = sources.iter().map(|source| {
        serde_json::json!({ "kind": "credential", "name": "k", "source": source, "hosts": [], "inject": null, "older_form": false, "origin": origin })
    });
    family.chain(source).map(|entry| serde_json::from_value(entry).unwrap()).collect()
}

#[test]
fn a_local_broker_allows_no_vault() {
    let vault = "vault://secret/app#key";
    assert_eq!(family(&entries(&[], &["env:X", vault])).unwrap(), Family::Any);
    assert_eq!(family(&entries(&["local"], &["env:X", "keyring:k"])).unwrap(), Family::Local);
    assert_eq!(family(&entries(&["vault"], &["env:X"])).unwrap(), Family::Vault);
    assert!(matches!(family(&entries(&["local"], &["env:X", vault])), Err(Error::NotLocal { .. })));
    for families in [&["other"][..], &["local", "vault"], &["vault", "local"]] {
        assert!(matches!(family(&entries(families, &[])), Err(Error::Family { .. })));
    }
}
