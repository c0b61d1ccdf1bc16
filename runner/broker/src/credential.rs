//! Where the values of credentials come from: one module for each source.
//!
//! Each error names the source as the Agentfile writes it, and no value. What a server, a file or a bus says is not
//! repeated either, since it may hold one.

mod dotenv;
mod environment;
mod family;
mod file;
mod keyring;
mod support;
mod vault;

use std::path::PathBuf;

use agentfile::plan::dotenv_parts;
use agentrc_secret::Secret;
use zeroize::Zeroizing;

pub use environment::{Environment, Variables};
pub use family::{Family, family};
pub use support::{Source, sources};

/// Why a credential, or the vault, cannot be used. Each is a refusal of the run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    /// Not one of the forms, which the parser has let pass.
    #[error("`{from}` is no source that a credential can be taken from: {help}")]
    Source { from: String, help: &'static str },
    /// `env:`.
    #[error("`{from}`: the variable is {why}: export it where agentrc is started")]
    Variable { from: String, why: &'static str },
    /// A file that cannot be read, or must not be trusted.
    #[error("`{from}`: `{}` {why}", path.display())]
    File { from: String, path: PathBuf, why: String },
    /// A dotenv file in which something is wrong.
    #[error("`{from}`: `{}`: {why}", path.display())]
    Dotenv { from: String, path: PathBuf, why: String },
    /// The key is in no keyring.
    #[error("`{from}`: {why}")]
    Keyring { from: String, why: String },
    /// The vault.
    #[error("`{from}`: {why}")]
    Vault { from: String, why: String },
    /// What was found there cannot be put into a request.
    #[error("`{from}`: {why}")]
    Value { from: String, why: agentrc_secret::Error },
    /// `BROKER local`, and a credential that is not.
    #[error(
        "`{from}` is the source of `{name}`, and `BROKER local` allows none in a vault: remove one of the two lines"
    )]
    NotLocal { name: String, from: String },
    /// A `BROKER` of which nothing is known.
    #[error("there is no credential broker `{family}`: write `BROKER vault` or `BROKER local`")]
    Family { family: String },
}

/// Reads values, in the process that is there for that. It logs in to a vault once, when it is first needed.
pub struct Resolver<'a> {
    environment: &'a Environment,
    vault: Option<vault::Session>,
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl<'a> Resolver<'a> {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(environment: &'a Environment) -> Self {
        Self { environment, vault: None }
    }

    /// The value that a source of a plan names. It takes at most some ten seconds.
    ///
    /// # Errors
    /// [`Error`]: whatever is missing, cannot be trusted, cannot be reached, or is no value.
    pub fn resolve(&mut self, source: &str) -> Result<Secret, Error> {
        let from = || source.to_owned();
        let value = if let Some(name) = source.strip_prefix("env:") {
            self.environment.value_of(name).map_err(|why| Error::Variable { from: from(), why })?
        } else if let Some(path) = source.strip_prefix("file:") {
            let path = self.path(source, path)?;
            let text =
                file::read(&path, file::Trust::NotWritable).map_err(|why| file_error(source, &path, why))?;
            without_line_end(text)
        } else if let Some(rest) = source.strip_prefix("dotenv:") {
            self.dotenv(source, rest)?
        } else if let Some(key) = source.strip_prefix("keyring:") {
            keyring::value(key, self.environment).map_err(|why| Error::Keyring { from: from(), why })?
        } else if let Some(rest) = source.strip_prefix("vault://") {
            let session = self.session().map_err(|why| Error::Vault { from: from(), why })?;
            session.value(rest).map_err(|why| Error::Vault { from: from(), why })?
        } else {
            let help = "write `env:`, `file:`, `dotenv:`, `keyring:` or `vault://`";
            return Err(Error::Source { from: from(), help });
        };
        Secret::new(value).map_err(|why| Error::Value { from: from(), why })
    }

    /// Whether the vault of the environment answers, and knows its token. For `BROKER vault`.
    ///
    /// # Errors
    /// [`Error::Vault`].
    pub fn vault_is_usable(&mut self) -> Result<(), Error> {
        let usable = self.session().and_then(|session| session.is_usable());
        usable.map_err(|why| Error::Vault { from: "BROKER vault".to_owned(), why })
    }

    /// Gives back what a vault's login gave: a token of AppRole is revoked.
    ///
    /// # Errors
    /// [`Error::Vault`] if that fails: the token then lives as long as its role says.
    pub fn end(self) -> Result<(), Error> {
        let ended = self.vault.map_or(Ok(()), vault::Session::end);
        ended.map_err(|why| Error::Vault { from: "vault://".to_owned(), why })
    }

    fn session(&mut self) -> Result<&vault::Session, String> {
        if self.vault.is_none() {
            self.vault = Some(vault::Session::new(self.environment)?);
        }
        self.vault.as_ref().ok_or_else(String::new)
    }

    fn path(&self, source: &str, path: &str) -> Result<PathBuf, Error> {
        self.environment.path(path).map_err(|help| Error::Source { from: source.to_owned(), help })
    }

    /// `PATH#KEY`, or `KEY` of the file `.env` beside the Agentfile.
    fn dotenv(&self, source: &str, rest: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (path, key) = dotenv_parts(rest);
        if !dotenv::is_key(key) {
            let help =
                "say which key of the file is meant: `dotenv:PATH#KEY`, or `dotenv:KEY` for one of `.env`";
            return Err(Error::Source { from: source.to_owned(), help });
        }
        let path = self.path(source, path)?;
        let text =
            file::read(&path, file::Trust::NotWritable).map_err(|why| file_error(source, &path, why))?;
        dotenv::value(&text, key).map_err(|why| Error::Dotenv { from: source.to_owned(), path, why })
    }
}

fn file_error(source: &str, path: &std::path::Path, why: String) -> Error {
    Error::File { from: source.to_owned(), path: path.to_owned(), why }
}

/// Without the one line end that editors and `echo` put behind a value.
fn without_line_end(mut text: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    text
}
