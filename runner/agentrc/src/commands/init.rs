//! `agentrc init`: a commented Agentfile to start from, that checks clean and runs as it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::Outcome;
use crate::arguments::Init;
use crate::refusal::Refusal;
use crate::{exit, terminal};

/// The text; `{agent}` is the agent's name.
const STARTER: &str = include_str!("starter.Agentfile");

/// Writes the file. One that exists stays, unless `--force`.
///
/// # Errors
/// An Agentfile that exists, or a folder that cannot be written.
pub fn init(arguments: &Init) -> Outcome {
    let folder = &arguments.folder;
    let path = folder.join("Agentfile");
    let shown = terminal::path(&path);
    let name = fs::create_dir_all(folder).and_then(|()| folder.canonicalize()).map(|folder| {
        label(&folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
    });
    let written = name.and_then(|name| {
        let text = STARTER.replace("{agent}", &name);
        if arguments.force { replace(&path, text.as_bytes()) } else { create(&path, &text) }
    });
    match written {
        Ok(()) => {
            terminal::print(&format!("wrote {shown}; next: agentrc check, agentrc plan, agentrc run\n"))?;
            Ok(exit::SUCCESS)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Refusal::new(format!("`{shown}` exists already")).help("`--force` overwrites it").into())
        }
        Err(error) => Err(Refusal::new(format!("cannot write `{shown}`: {error}")).into()),
    }
}

/// O_EXCL: also a dangling symbolic link counts as a file that exists.
fn create(path: &Path, text: &str) -> io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}

/// Through a new file and rename(2), so that there is the old text or the new one and never half, and a symbolic link
/// is replaced rather than followed.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let permissions =
        fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).map(|old| old.permissions());
    let result = File::create_new(&new)
        .and_then(|mut file| {
            file.write_all(text)?;
            permissions.map_or(Ok(()), |permissions| file.set_permissions(permissions))?;
            file.sync_data()
        })
        .and_then(|()| fs::rename(&new, path));
    if result.is_err() {
        // Ours, just made; that it cannot be removed would hide the reason why we are here.
        let _ = fs::remove_file(&new);
    }
    result
}

/// `name` as a DNS label: lower-case letters, digits and inner hyphens, at most 63.
fn label(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .take(63)
        .collect();
    let trimmed = kept.trim_matches('-');
    if trimmed.is_empty() { "my-agent".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_name_becomes_a_label() {
        assert_eq!(label("My Agent"), "my-agent");
        assert_eq!(label("-x_"), "x");
        assert_eq!(label("…"), "my-agent");
        assert_eq!(label(&"a".repeat(80)).len(), 63);
    }

    #[test]
    fn replacing_keeps_permissions_and_leaves_no_litter() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Agentfile");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symbolic_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("target"), "kept").unwrap();
        std::os::unix::fs::symlink("target", folder.path().join("Agentfile")).unwrap();
        replace(&folder.path().join("Agentfile"), b"new").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("target")).unwrap(), "kept");
    }
}
