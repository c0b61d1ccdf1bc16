//! Host paths in JSON. A path is bytes; one that is UTF-8 is written as a string, any other as a list of numbers, so that
//! what comes back is what went in.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A host path that survives JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct HostPath(pub PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Written> for HostPath {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

impl From<HostPath> for Written {
    fn from(path: HostPath) -> Self {
        match path.0.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(bytes) => Self::Bytes(bytes.as_bytes().to_vec()),
        }
    }
}

impl HostPath {
    /// The path as it is, nothing resolved.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }
}

impl AsRef<Path> for HostPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back_as_they_were() {
        for bytes in [&b"/a/b"[..], b"", b"/\xff\n", "/é\u{202e}".as_bytes()] {
            let path = HostPath::new(OsString::from_vec(bytes.to_vec()));
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<HostPath>(&json).unwrap(), path, "{json}");
        }
        assert_eq!(serde_json::to_string(&HostPath::new("/a")).unwrap(), "\"/a\"");
    }
}
