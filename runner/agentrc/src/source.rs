//! An Agentfile on disk: found, read, compiled.

use std::io;
use std::path::{Path, PathBuf};

use agentfile::compile::{self, Validate};
use agentfile::plan::Plan;
use agentfile::render;

use crate::package::{AGENTFILE_LIMIT, Folder};
use crate::refusal::{Failure, Refusal};
use crate::terminal;
use crate::terminal::Style;

/// An Agentfile that was read.
#[derive(Debug)]
pub struct Source {
    folder: Folder,
    name: String,
    shown: String,
    bytes: Vec<u8>,
}

/// What it compiles to.
#[derive(Debug)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// Its SHA-256, hexadecimal.
    pub digest: String,
}

impl Compiled {
    /// A plan with its digest.
    ///
    /// # Errors
    /// It has no canonical form.
    pub fn of(plan: Plan) -> Result<Self, Refusal> {
        let digest = agentfile::plan::digest::digest(&plan).map_err(|error| {
            Refusal::new(format!("the plan has no canonical form: {error}")).step("compile")
        })?;
        Ok(Self { plan, digest })
    }
}

impl Source {
    /// Reads the Agentfile at `path`, or in the folder `path`.
    ///
    /// # Errors
    /// It cannot be found or read, is no ordinary file, leaves its folder by a symbolic link, or is too large.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let path = if path.is_dir() { path.join("Agentfile") } else { path.to_owned() };
        let shown = terminal::path(&path);
        let fail = |error: &io::Error| {
            let help = match error.kind() {
                io::ErrorKind::NotFound => "`agentrc init` writes one to start from",
                io::ErrorKind::CrossesDevices => {
                    "it is a symbolic link that leaves its folder: name the file itself"
                }
                _ => "",
            };
            let refusal = Refusal::new(format!("cannot read `{shown}`: {error}")).step("read-agentfile");
            if help.is_empty() { refusal } else { refusal.help(help) }
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = Folder::open(parent).map_err(|error| fail(&error))?;
        let file = path.file_name().ok_or_else(|| fail(&io::ErrorKind::IsADirectory.into()))?;
        let bytes = folder.read_bounded(Path::new(file), AGENTFILE_LIMIT).map_err(|error| fail(&error))?;
        Ok(Self { folder, name: file.to_string_lossy().into_owned(), shown, bytes })
    }

    /// A text that was made, not read: an Agentfile of the folder `folder` that is known as `name`.
    #[must_use]
    pub fn made(folder: Folder, name: String, bytes: Vec<u8>) -> Self {
        let shown = terminal::escape(&name);
        Self { folder, name, shown, bytes }
    }

    /// File name, as in origins.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path as the user gave it, escaped.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Absolute folder, without symbolic links.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Absolute path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// The bytes; whether they are a text is for the compiler to say.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Everything that the compiler says.
    #[must_use]
    pub fn check(&self, validate: Validate) -> compile::Compiled {
        compile::compile(&self.name, &self.bytes, &self.folder, validate)
    }

    /// The plan, or every error.
    ///
    /// # Errors
    /// The text does not compile.
    pub fn compile(&self, validate: Validate) -> Result<Compiled, Failure> {
        let compile::Compiled { plan, diagnostics } = self.check(validate);
        let Some(plan) = plan else {
            terminal::complain(&render::text(
                &self.shown,
                &self.bytes,
                &diagnostics,
                Style::stderr().colour(),
            ));
            return Err(Refusal::new(format!("`{}` does not compile", self.shown)).step("compile").into());
        };
        Ok(Compiled::of(plan)?)
    }
}
