//! What the sources are relative to: whoever starts the run gives it, so that nothing here asks the process.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// How a variable is looked up.
pub type Variables = Box<dyn Fn(&str) -> Option<OsString>>;

/// The surroundings of a run.
pub struct Environment {
    /// The Agentfile's folder, absolute: paths are relative to it.
    pub folder: PathBuf,
    /// The user's home, if there is one.
    pub home: Option<PathBuf>,
    /// The folder of files that stand in for a keyring, in agentrc's state directory. It need not exist.
    pub keyring: PathBuf,
    /// The variables of whoever started the run.
    pub variables: Variables,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = out.debug_struct("Environment");
        out.field("folder", &self.folder).field("home", &self.home).field("keyring", &self.keyring);
        out.finish_non_exhaustive()
    }
}

impl Environment {
    /// The process's own variables and home.
    #[must_use]
    pub fn of_process(folder: PathBuf, keyring: PathBuf) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Self { folder, home, keyring, variables: Box::new(|name| std::env::var_os(name)) }
    }

    /// A variable's value, in a buffer that is wiped.
    pub(super) fn value_of(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        let value = (self.variables)(name).ok_or("not set")?;
        let value = Zeroizing::new(value.into_vec());
        if value.is_empty() { Err("empty") } else { Ok(value) }
    }

    /// A variable that is no secret, if it is set to something.
    pub(super) fn text_of(&self, name: &str) -> Option<String> {
        (self.variables)(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
    }

    /// A path as an Agentfile writes it.
    pub(super) fn path(&self, path: &str) -> Result<PathBuf, &'static str> {
        if let Some(below) = path.strip_prefix("~/") {
            let home = self.home.as_deref().ok_or("`~` means nothing, since `HOME` is not set")?;
            return Ok(home.join(below));
        }
        if path.starts_with('~') {
            return Err("write the path to another user's home in full");
        }
        Ok(self.folder.join(path))
    }
}
