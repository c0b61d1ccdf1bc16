//! One test's world: a folder, a state directory of its own, and `agentrc` with nothing of the caller's environment.

use std::path::{Path, PathBuf};

use snapbox::cmd::{Command, OutputAssert};

/// Removed when dropped.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// An empty project in an empty world.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["project", "home", "state"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// A world whose project has this Agentfile.
    pub(crate) fn with(agentfile: &str) -> Self {
        let world = Self::new();
        world.write("Agentfile", agentfile);
        world
    }

    /// A path in the project.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("project").join(name)
    }

    /// A path beside the project.
    pub(crate) fn outside(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file of the project.
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// `agentrc` with these words, in the project.
    pub(crate) fn agentrc<const N: usize>(&self, words: [&str; N]) -> Command {
        Command::new(env!("CARGO_BIN_EXE_agentrc"))
            .args(words)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.outside("home"))
            .env("XDG_STATE_HOME", self.outside("state"))
            .current_dir(self.path(""))
    }

    /// Runs it and says how it must end.
    #[track_caller]
    pub(crate) fn ends<const N: usize>(&self, words: [&str; N], code: i32) -> Output {
        Output::of(self.agentrc(words).assert(), code)
    }
}

/// What a command wrote.
pub(crate) struct Output {
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Output {
    #[track_caller]
    fn of(ended: OutputAssert, code: i32) -> Self {
        let ended = ended.code(code);
        let output = ended.get_output();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Says that standard output has all of these.
    #[track_caller]
    pub(crate) fn out_has(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.out.contains(word), "{word:?} is not in standard output:\n{}", self.out);
        }
        self
    }

    /// Says that standard error has all of these.
    #[track_caller]
    pub(crate) fn err_has(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in standard error:\n{}", self.err);
        }
        self
    }

    /// Says that nothing in either stream could drive a terminal.
    #[track_caller]
    pub(crate) fn plain(self) -> Self {
        for text in [&self.out, &self.err] {
            let bad = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t') || *c == '\u{202e}');
            assert_eq!(bad, None, "{text:?}");
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}:\n{}", self.out))
    }
}
