//! The Agentfile language: text to plan, as a pure function.
//!
//! ```text
//! text ─lex, parse─▶ syntax::Agentfile ─boundary, check─▶ boundary::Boundaries ─lower─▶ plan::Plan
//! ```
//!
//! No I/O (the few package files that an Agentfile names are read through [`Package`], which the caller gives), no
//! clock, no environment, no unsafe.
#![forbid(unsafe_code)]

pub mod address;
mod base;
pub mod boundary;
pub mod characters;
mod check;
pub mod code;
pub mod compile;
pub mod diag;
pub mod directive;
pub mod fix;
pub mod fmt;
pub mod function;
pub mod host;
mod hosts;
mod idiom;
pub mod json;
pub mod lex;
mod lower;
mod manual;
pub mod memory;
pub mod parse;
pub mod path;
pub mod place;
pub mod plan;
pub mod policy;
pub mod render;
pub mod request;
pub mod schema;
pub mod server;
pub mod skill;
pub mod span;
pub mod syntax;
pub mod tool;
mod toolset;
mod work;

/// The files beside the Agentfile, as the compiler may see them. Paths are relative to the Agentfile's folder,
/// normalised, and never leave it.
pub trait Package {
    /// What is at `path`. A symbolic link that leads nowhere, or out of the folder, is [`Kind::Other`].
    fn kind(&self, path: &str) -> Kind;
    /// The bytes of the file at `path`.
    ///
    /// # Errors
    /// Whatever the caller's storage says; shown to the user as it is.
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;
    /// Names of the executable files that lie directly in the folder at `path`, sorted; none when there is no such folder.
    ///
    /// # Errors
    /// As for `read`; a name that is not UTF-8.
    fn executables(&self, path: &str) -> std::io::Result<Vec<String>>;
    /// The names in the folder at `path` that end with `suffix`, in their order.
    ///
    /// # Errors
    /// Whatever the caller's storage says.
    fn list(&self, path: &str, suffix: &str) -> std::io::Result<Vec<String>>;
    /// Name of the folder, from which the agent's name is inferred.
    fn folder_name(&self) -> &str;
    /// The host's tables of MCP servers, in the order in which a name is looked for that the package's own does not have.
    ///
    /// # Errors
    /// One that cannot be used: why, and what to do.
    fn host_servers(&self) -> Result<Vec<host::ServerTable>, String> {
        Ok(Vec::new())
    }
    /// Where the host says that the tools of `namespace`, none of agentrc's own, are what is built in and the package's manuals, if it
    /// does: `NAMESPACE:NAME` is `utcp:NAME` then.
    ///
    /// # Errors
    /// The host's configuration cannot be used: why, and what to do.
    fn host_namespace(&self, namespace: &str) -> Result<Option<String>, String> {
        let _ = namespace;
        Ok(None)
    }
}

/// A package with nothing beside its Agentfile.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Package for Nothing {
    fn kind(&self, _: &str) -> Kind {
        Kind::Missing
    }

    fn read(&self, _: &str) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn executables(&self, _: &str) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn list(&self, _: &str, _: &str) -> std::io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn folder_name(&self) -> &str {
        "folder"
    }
}

/// What is at a path of a [`Package`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Something else: a socket, a pipe, a device.
    Other,
    /// Nothing.
    Missing,
}
