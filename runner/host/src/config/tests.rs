//! Two files, and what they come to.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// A system's and a user's file, both of whoever runs the tests.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etc", "home"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            set_mode(&folder.path().join(name), 0o755);
        }
        Self(folder)
    }

    fn with(system: &str, user: &str) -> Self {
        let files = Self::new();
        for (path, text) in [(files.system(), system), (files.user(), user)] {
            std::fs::write(&path, text).unwrap();
            set_mode(&path, 0o644);
        }
        files
    }

    fn system(&self) -> PathBuf {
        self.0.path().join("etc/agentrc.toml")
    }

    fn user(&self) -> PathBuf {
        self.0.path().join("home/agentrc.toml")
    }

    fn load(&self) -> Result<Config, Error> {
        let me = rustix::process::geteuid().as_raw();
        Config::load_as(&self.system(), me, Some(&self.user()), me)
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn refused(files: &Files) -> String {
    let error = files.load().unwrap_err().to_string();
    assert!(error.contains("\n  help: "), "{error}");
    error
}

#[test]
fn without_files_nothing_is_said() {
    let files = Files::new();
    assert_eq!(files.load().unwrap(), Config::default());
    assert_eq!(Files::with("", "# nothing\n").load().unwrap(), Config::default());
    assert_eq!(Config::load(Path::new("/nonexistent/agentrc.toml"), None).unwrap(), Config::default());
}

#[test]
fn a_file_says_what_is_required_and_excepted_and_where() {
    let text = "[enforcement]\nrequire = [\"ebpf\", \"landlock-net\", \"cgroup\", \"ebpf\"]\n\n[network]\n\
        proxy = \"http://Proxy.Example:3128\"\nprivate = [\"*.corp.example\", \"db.internal\"]\n";
    let files = Files::with(text, "");
    let config = files.load().unwrap();
    let words: Vec<_> = config.require.iter().map(|setting| setting.value.word()).collect();
    assert_eq!(words, ["ebpf", "landlock-net", "cgroup"]);
    assert_eq!(
        config.requires(Requirement::LandlockNet).unwrap().to_string(),
        format!("{}:2:20", files.system().display())
    );
    let proxy = config.proxy.as_ref().unwrap();
    assert_eq!((proxy.value.to_string().as_str(), proxy.place.line), ("http://proxy.example:3128", 5));
    let place =
        |host: &str| config.private(host).map(|setting| (setting.value.as_str(), setting.place.column));
    assert_eq!(place("a.b.corp.example"), Some(("*.corp.example", 12)));
    assert_eq!(place("db.internal"), Some(("db.internal", 30)));
    for other in ["corp.example", "xcorp.example", "a.db.internal", "internal", "a.corp.example.evil"] {
        assert_eq!(place(other), None, "{other}");
    }
}

#[test]
fn a_user_adds_requirements_and_fills_what_the_system_leaves_open() {
    let user = "[enforcement]\nrequire = [\"cgroup\", \"ebpf\"]\n[network]\nproxy = \"http://p:1\"\nprivate = [\"a.internal\"]\n";
    let files = Files::with("[enforcement]\nrequire = [\"ebpf\"]\n", user);
    let config = files.load().unwrap();
    assert_eq!(config.requires(Requirement::Ebpf).unwrap().file, files.system());
    assert_eq!(config.requires(Requirement::Cgroup).unwrap().file, files.user());
    assert_eq!(config.requires(Requirement::LandlockNet), None);
    assert_eq!(config.proxy.as_ref().unwrap().value, Proxy { host: "p".to_owned(), port: 1 });
    assert!(config.private("a.internal").is_some());
}

#[test]
fn a_user_narrows_exceptions_and_never_widens_them() {
    let system = "[network]\nprivate = [\"*.corp.example\", \"db.internal\"]\n";
    let of = |user: &str| Files::with(system, &format!("[network]\nprivate = [{user}]\n"));
    let config = of("\"a.corp.example\", \"*.b.corp.example\", \"db.internal\"").load().unwrap();
    assert!(config.private("a.corp.example").is_some() && config.private("x.b.corp.example").is_some());
    assert!(config.private("c.corp.example").is_none(), "narrowed");
    assert!(of("").load().unwrap().private.is_empty());
    for wider in ["*.example", "other.internal", "*.internal", "corp.example"] {
        let error = refused(&of(&format!("\"db.internal\", \"{wider}\"")));
        assert!(error.contains("agentrc.toml:2:27: ") && error.contains(wider), "{error}");
    }
    let none = Files::with("[network]\nprivate = []\n", "[network]\nprivate = [\"a.internal\"]\n");
    assert!(refused(&none).contains("no exception of the system's"));
}

#[test]
fn a_user_cannot_choose_another_way_out_than_the_systems() {
    let of = |user: &str| {
        Files::with("[network]\nproxy = \"http://p:1\"\n", &format!("[network]\nproxy = \"{user}\"\n"))
    };
    assert_eq!(of("http://p:1/").load().unwrap().proxy.unwrap().value.port, 1);
    let error = refused(&of("http://q:1"));
    assert!(error.contains("home/agentrc.toml:2:9: ") && error.contains("etc/agentrc.toml:2:9"), "{error}");
}

#[test]
fn what_is_not_understood_is_an_error_at_its_place() {
    for (text, at, says) in [
        ("[enforcement]\nrequired = []\n", "2:1", "unknown field `required`"),
        ("[networks]\n", "1:2", "unknown field `networks`"),
        ("[enforcement]\nrequire = [\"ebpf\", \"magic\"]\n", "2:20", "unknown variant `magic`"),
        ("[enforcement]\nrequire = \"ebpf\"\n", "2:11", "expected a sequence"),
        ("[network]\n# é\nproxy = 1\n", "3:9", "expected a string"),
        ("[network]\nproxy = \"http://p:1\"\nproxy = \"http://p:1\"\n", "3:1", "duplicate key"),
        ("[network\n", "1:9", ""),
        ("[network]\nproxy = \"https://p:1\"\n", "2:9", "not an HTTP proxy"),
        ("[network]\nproxy = \"socks5://p:1\"\n", "2:9", "not an HTTP proxy"),
        ("[network]\nproxy = \"p:1\"\n", "2:9", "not an HTTP proxy"),
        ("[network]\nproxy = \"http://p\"\n", "2:9", "no port"),
        ("[network]\nproxy = \"http://p:0\"\n", "2:9", "no port"),
        ("[network]\nproxy = \"http://p:99999\"\n", "2:9", "no port"),
        ("[network]\nproxy = \"http://p:1/x\"\n", "2:9", "no port"),
        ("[network]\nproxy = \"http://*.p.q:1\"\n", "2:9", "names no one host"),
        ("[network]\nproxy = \"http://127.1:1\"\n", "2:9", "unusual spelling"),
        ("[network]\nprivate = [\"10.0.0.1\"]\n", "2:12", "is not a name"),
        ("[network]\nprivate = [\"*\"]\n", "2:12", "`*`"),
        ("[network]\nprivate = [\"a.*.b\"]\n", "2:12", "`*`"),
        ("[network]\nprivate = [\"*.*.b\"]\n", "2:12", "`*`"),
        ("[network]\nprivate = [\"*.7\"]\n", "2:12", "unusual spelling"),
        ("[network]\nprivate = [\"a.\"]\n", "2:12", "ends in a dot"),
        ("[network]\nprivate = [\"\"]\n", "2:12", "missing"),
        ("[network]\nprivate = [\"bücher.internal\"]\n", "2:12", "not a host name"),
    ] {
        let error = refused(&Files::with(text, ""));
        assert!(
            error.contains(&format!("etc/agentrc.toml:{at}: ")) && error.contains(says),
            "{text}: {error}"
        );
        assert!(refused(&Files::with("", text)).contains("home/agentrc.toml:"), "{text}");
    }
    assert!(Files::with("[network]\nprivate = [\"*.internal\"]\n", "").load().is_ok());
}

#[test]
fn a_password_in_a_proxy_is_not_repeated() {
    let error = refused(&Files::with("[network]\nproxy = \"http://me:hunter2@p:1\"\n", ""));
    assert!(!error.contains("hunter2") && error.contains('@'), "{error}");
}

#[test]
fn a_file_that_others_could_have_written_is_refused() {
    let (open, mine) = (["etc", "home"], Files::with("", ""));
    for name in open {
        let (folder, file) = (mine.0.path().join(name), mine.0.path().join(name).join("agentrc.toml"));
        for mode in [0o664, 0o646, 0o666] {
            set_mode(&file, mode);
            assert!(refused(&mine).contains("can be written by others"), "{mode:o}");
        }
        set_mode(&file, 0o644);
        for mode in [0o775, 0o757, 0o777] {
            set_mode(&folder, mode);
            assert!(refused(&mine).contains("can be written by others"), "{mode:o}");
        }
        set_mode(&folder, 0o1777);
        mine.load().unwrap();
        set_mode(&folder, 0o755);
        mine.load().unwrap();
    }
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    let files = Files::with("", "");
    let (me, other) = (rustix::process::geteuid().as_raw(), 54_321);
    let load = |root: u32, uid: u32| Config::load_as(&files.system(), root, Some(&files.user()), uid);
    load(me, other).expect("root's may be the user's too");
    let error = load(other, me).unwrap_err().to_string();
    assert!(
        error.contains("etc/agentrc.toml") && error.contains(&format!("belongs to user {me}")),
        "{error}"
    );
    std::fs::remove_file(files.system()).unwrap();
    load(other, me).expect("the user's alone");
    assert!(load(other, other).is_err());
}

#[test]
fn a_link_is_followed_to_a_file_that_is_checked_and_one_that_leads_nowhere_is_an_error() {
    let files = Files::with("[enforcement]\nrequire = [\"ebpf\"]\n", "");
    let elsewhere = files.0.path().join("elsewhere");
    std::fs::rename(files.system(), &elsewhere).unwrap();
    symlink(&elsewhere, files.system()).unwrap();
    assert!(files.load().unwrap().requires(Requirement::Ebpf).is_some());
    set_mode(&elsewhere, 0o666);
    assert!(refused(&files).contains("can be written by others"));
    std::fs::remove_file(&elsewhere).unwrap();
    assert!(files.load().is_err());
}

#[test]
fn what_is_no_text_is_an_error() {
    let files = Files::with("", "");
    std::fs::write(files.system(), b"\xff").unwrap();
    assert!(refused(&files).contains("not UTF-8"));
    std::fs::write(files.system(), vec![b'#'; 70_000]).unwrap();
    assert!(refused(&files).contains("more than 64 KiB"));
    std::fs::remove_file(files.system()).unwrap();
    std::fs::create_dir(files.system()).unwrap();
    assert!(refused(&files).contains("is not a file"));
}

#[test]
fn a_users_file_is_where_the_environment_says_and_roots_home_says_nothing() {
    let (xdg, home) = (Some(OsStr::new("/x")), Some(OsStr::new("/home/a")));
    let of = |uid, xdg, home| of_user(uid, xdg, home).unwrap().map(|path| path.display().to_string());
    assert_eq!(of(1, xdg, home).as_deref(), Some("/x/agentrc/agentrc.toml"));
    assert_eq!(of(1, None, home).as_deref(), Some("/home/a/.config/agentrc/agentrc.toml"));
    assert_eq!(of(1, Some(OsStr::new("")), home).as_deref(), Some("/home/a/.config/agentrc/agentrc.toml"));
    assert_eq!(of(1, None, None), None);
    assert_eq!(of(0, None, home), None);
    assert_eq!(of(0, xdg, home).as_deref(), Some("/x/agentrc/agentrc.toml"));
    assert!(of_user(1, Some(OsStr::new("x")), home).is_err());
    assert!(of_user(1, None, Some(OsStr::new("home"))).is_err());
}

#[test]
fn a_user_lets_untrusted_content_do_less_and_never_more() {
    let said = |word: &str| format!("[memory]\nuntrusted = \"{word}\"\n");
    let words = [("refuse", Untrusted::Refuse), ("ask", Untrusted::Ask), ("allow", Untrusted::Allow)];
    for (system, known) in words {
        for (user, wanted) in words {
            let files = Files::with(&said(system), &said(user));
            if wanted > known {
                let error = refused(&files);
                assert!(
                    error.contains("home/agentrc.toml:2:13") && error.contains("etc/agentrc.toml:2:13"),
                    "{error}"
                );
            } else {
                assert_eq!(files.load().unwrap().untrusted.unwrap().value, wanted);
            }
        }
        let alone = Files::with("", &said(system)).load().unwrap().untrusted.unwrap();
        assert!(alone.value == known && alone.place.file.to_string_lossy().contains("home"));
    }
    assert!(Files::with("", "").load().unwrap().untrusted.is_none());
    assert!(refused(&Files::with("[memory]\nuntrusted = \"maybe\"\n", "")).contains("agentrc.toml:2:13"));
}

#[test]
fn what_either_file_asks_about_is_asked_about_and_the_shorter_time_holds() {
    let system =
        "[approvals]\nrequire = [\"tool.invoke file_write\", \"memory.write\"]\nexpires_seconds = 60\n";
    let user = "[approvals]\nrequire = [\"memory.write\", \"tool.invoke a/b\"]\nexpires_seconds = 900\n";
    let approvals = Files::with(system, user).load().unwrap().approvals;
    let shown: Vec<_> = approvals.require.iter().map(|setting| setting.value.to_string()).collect();
    assert_eq!(shown, ["tool.invoke file_write", "memory.write", "tool.invoke a/b"]);
    assert_eq!(approvals.expiry().as_secs(), 60);
    assert!(approvals.require[0].place.to_string().ends_with("etc/agentrc.toml:2:12"));
    let asks = &approvals.require[0].value;
    assert!(asks.takes_in("tool.invoke", "file_write"));
    assert!(!asks.takes_in("tool.invoke", "file_Write") && !asks.takes_in("memory.write", "file_write"));
    assert!(approvals.require[1].value.takes_in("memory.write", "notes"));
    assert_eq!(Files::with("", user).load().unwrap().approvals.expiry().as_secs(), 900);
    assert_eq!(Files::with("", "").load().unwrap().approvals.expiry(), DEFAULT_EXPIRY);
}

#[test]
fn what_nobody_can_be_asked_about_is_an_error_with_its_place() {
    for wrong in [
        "network.egress",
        "tool",
        "tool:file_write",
        "tool.invoke ",
        "tool.invoke  a",
        "tool.invoke a b",
        "",
        " tool.invoke",
        "Tool.invoke",
    ] {
        let error = refused(&Files::with("", &format!("[approvals]\nrequire = [\"{wrong}\"]\n")));
        assert!(error.contains("home/agentrc.toml:2:12") && error.contains("help: "), "{wrong}: {error}");
    }
    for seconds in ["0", "86401", "-1", "\"x\"", "1.5"] {
        let error = refused(&Files::with("", &format!("[approvals]\nexpires_seconds = {seconds}\n")));
        assert!(error.contains("home/agentrc.toml:2:19"), "{seconds}: {error}");
    }
}

#[test]
fn namespaces_of_both_files_are_served() {
    let files = Files::with(
        "[tools.namespaces]\nstrands = \"utcp\"\n",
        "[tools.namespaces]\n\nstrands = \"utcp\"\n\"lang.chain\" = \"utcp\"\n",
    );
    let found = files.load().unwrap().namespaces;
    let found: Vec<_> = found.iter().map(|(name, setting)| (name.as_str(), setting.place.line)).collect();
    assert_eq!(found, [("lang.chain", 4), ("strands", 2)]);
    for (line, why) in [
        ("utcp = \"utcp\"", "no namespace of a framework's"),
        ("\"a:b\" = \"utcp\"", "no namespace of a framework's"),
        ("\".a\" = \"utcp\"", "no namespace of a framework's"),
        ("\"\" = \"utcp\"", "no namespace of a framework's"),
        ("a = \"local\"", "serves no tools"),
        ("a = \"mcp:x\"", "serves no tools"),
        ("a = 1", "invalid type"),
    ] {
        let said = refused(&Files::with(&format!("[tools.namespaces]\n{line}\n"), ""));
        assert!(said.contains("agentrc.toml:2:") && said.contains(why), "{line}: {said}");
    }
}

#[test]
fn tables_of_servers_lie_beside_the_files_and_are_as_much_their_owners() {
    let files = Files::new();
    let me = rustix::process::geteuid().as_raw();
    let tables = || servers_as(&files.system(), me, Some(&files.user()), me);
    assert!(tables().unwrap().is_empty());
    let at = |folder: &str| files.0.path().join(folder).join("mcp.json");
    for folder in ["etc", "home"] {
        std::fs::write(at(folder), folder).unwrap();
        set_mode(&at(folder), 0o644);
    }
    let found: Vec<_> =
        tables().unwrap().into_iter().map(|table| (PathBuf::from(table.path), table.bytes)).collect();
    assert_eq!(found, [(at("etc"), b"etc".to_vec()), (at("home"), b"home".to_vec())]);
    set_mode(&at("home"), 0o666);
    assert!(tables().unwrap_err().to_string().contains("can be written by others"));
    std::fs::remove_file(at("home")).unwrap();
    symlink("none", at("home")).unwrap();
    assert!(tables().is_err());
    std::fs::remove_file(at("home")).unwrap();
    assert!(
        servers_as(&files.system(), me + 1, None, me).unwrap_err().to_string().contains("belongs to user")
    );
}
