//! A real overlay, mounted in a user namespace of its own, in which a shell script plays the agent; as root, and again
//! as an ordinary user.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use agentrc_host::StateDir;
use agentrc_host::hostpath::HostPath;
use agentrc_host::record::{Copied, FORMAT, Record};
use agentrc_host::review::{Change, ChangeKind, Review};
use agentrc_host::state::Place;

const USER: &str = "AGENTRC_TEST_ORDINARY_USER";

/// Runs `body`, and when this is root, the test `name` once more as the user `nobody`.
pub(crate) fn as_root_and_as_user(name: &str, body: fn()) {
    body();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    assert!(std::env::var_os(USER).is_none(), "the ordinary user is root");
    // The test program may lie where `nobody` cannot go.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = dir.path().join("test");
    // By another process: what this one has open to be written, a fork of another test's inherits for a moment, and nobody can
    // execute it as long.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success());
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"])
        .arg(&program)
        .args(["--exact", name, "--nocapture"])
        .env(USER, "1")
        .current_dir("/")
        .output()
        .unwrap();
    let shown =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && shown.contains("1 passed"), "as an ordinary user: {shown}");
}

pub(crate) struct Project {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) state: StateDir,
    pub(crate) run: String,
    pub(crate) protected: Vec<String>,
    /// Options of unshare(1).
    pub(crate) namespaces: &'static [&'static str],
}

impl Project {
    /// A source folder, filled by a shell script.
    pub(crate) fn new(fill: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { base: dir.path().to_owned(), beneath: "state".into(), make_base: false };
        let state = StateDir::open(&place).unwrap();
        for made in ["source", "merged", "outside"] {
            std::fs::create_dir(dir.path().join(made)).unwrap();
        }
        std::fs::write(dir.path().join("outside/canary"), "alive").unwrap();
        let project = Self {
            dir,
            state,
            run: String::new(),
            protected: Vec::new(),
            namespaces: &["--user", "--map-root-user", "--mount"],
        };
        project.host(fill);
        project
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    /// Runs a script in the source, as the user would.
    pub(crate) fn host(&self, script: &str) {
        shell(&mut Command::new("sh"), &format!("umask 022\n{script}"), &self.source());
    }

    /// Runs a script in a copy of the source, as the agent would; returns what the agent saw last ([`tree_of`]).
    pub(crate) fn agent(&mut self, script: &str) -> String {
        let run = self.state.create_run().unwrap();
        self.run = run.id().to_owned();
        let source = std::fs::File::open(self.source()).unwrap();
        let stat = source.metadata().unwrap();
        // As the launch does it.
        let layer = run.folder().path_of("copy-0");
        for made in [layer.clone(), layer.join("upper"), layer.join("work")] {
            std::fs::DirBuilder::new().mode(0o700).create(made).unwrap();
        }
        let mode = stat.mode() & 0o777 | 0o700;
        std::fs::set_permissions(layer.join("upper"), PermissionsExt::from_mode(mode)).unwrap();
        run.write_record(&Record {
            format: FORMAT,
            run: self.run.clone(),
            agentfile: HostPath::new("/x/Agentfile"),
            agent: "a".into(),
            plan_sha256: "ab".repeat(32),
            started: "2026-11-25T12:45:22.000000000Z".into(),
            supervisor_pid: 1,
            clock: run.clock().unwrap(),
            copies: vec![Copied {
                layer: "copy-0".into(),
                target: "/w".into(),
                source: HostPath::new(std::fs::canonicalize(self.source()).unwrap()),
                device: stat.dev(),
                inode: stat.ino(),
                protected: self.protected.clone(),
            }],
            serves: None,
            skill: None,
        })
        .unwrap();
        let merged = self.dir.path().join("merged");
        let script = format!(
            "mount -t overlay overlay -o 'lowerdir={},upperdir={},workdir={},userxattr' '{m}'\ncd '{m}'\numask 022\n{script}\n\
             cd '{m}'\n{TREE} > '{}'\ncd /\numount '{m}'",
            self.source().display(),
            layer.join("upper").display(),
            layer.join("work").display(),
            self.dir.path().join("seen").display(),
            m = merged.display(),
        );
        let mut unshare = Command::new("unshare");
        unshare.args(self.namespaces).arg("sh");
        shell(&mut unshare, &script, Path::new("/"));
        String::from_utf8_lossy(&std::fs::read(self.dir.path().join("seen")).unwrap()).into_owned()
    }

    pub(crate) fn review(&self) -> Review<'_> {
        Review::open(&self.state, &self.run).unwrap()
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        self.review().changes().unwrap()
    }

    /// Kinds and paths of all changes.
    pub(crate) fn listed(&self) -> Vec<(ChangeKind, String)> {
        self.changes()
            .into_iter()
            .map(|change| (change.kind, change.path.to_str().unwrap().to_owned()))
            .collect()
    }

    pub(crate) fn change(&self, path: &str) -> Change {
        self.changes().into_iter().find(|change| change.path == Path::new(path)).unwrap()
    }

    /// Everything in the source: kinds, modes, link texts, contents.
    pub(crate) fn tree(&self) -> String {
        let output = Command::new("sh").args(["-euc", TREE]).current_dir(self.source()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.dir.path().join("state/runs").join(&self.run).join("copy-0/upper")
    }

    pub(crate) fn assert_outside_is_untouched(&self) {
        let outside = self.dir.path().join("outside");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(outside.join("canary")).unwrap(), "alive");
    }
}

/// overlayfs leaves a closed folder in its `work`: only root can remove that unasked.
impl Drop for Project {
    fn drop(&mut self) {
        let opened = Command::new("chmod").args(["-R", "u+rwX"]).arg(self.dir.path()).status();
        let removed = std::fs::remove_dir_all(self.dir.path());
        if !std::thread::panicking() {
            assert!(opened.unwrap().success());
            removed.unwrap();
        }
    }
}

/// Kind, mode, path and link text of everything here, and the digest of every file.
const TREE: &str =
    "{ find . -mindepth 1 -printf '%y %m %p %l\\n'; find . -type f -exec sha256sum {} +; } | LC_ALL=C sort";

fn shell(command: &mut Command, script: &str, dir: &Path) {
    let output = command.args(["-euc", script]).arg("sh").current_dir(dir).output();
    // `unshare … sh` and `sh` alike take the script as their next arguments.
    let output = output.unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}
