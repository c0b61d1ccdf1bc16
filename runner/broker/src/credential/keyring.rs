//! `keyring:KEY`: the desktop's Secret Service, and, where there is none or it does not have the key, a file.
//!
//! The file is no keyring: it is not encrypted, as `~/.ssh/id_ed25519` without a passphrase is not. Encryption with a key
//! that lies beside it would only look like more. It is refused unless it is the user's alone.

mod dbus;
mod message;
mod service;

use zeroize::Zeroizing;

use super::Environment;
use super::file::{self, Trust};

/// The value of a key.
///
/// # Errors
/// What was looked at, and what to do.
pub(super) fn value(key: &str, environment: &Environment) -> Result<Zeroizing<Vec<u8>>, String> {
    let absent = match service::value(key, environment) {
        Ok(value) => return Ok(value),
        // A keyring that is there and says no is not passed over.
        Err(service::Absent::No(why)) => return Err(why),
        Err(service::Absent::Elsewhere(why)) => why,
    };
    let help = format!(
        "store it with `secret-tool store --label={key} service agentrc key {key}`, or, unencrypted, in the file `{}` with mode 600",
        environment.keyring.join(key).display()
    );
    if !is_file_name(key) {
        return Err(format!("{absent}: {help}, under a name of letters, digits, `.`, `-` and `_`"));
    }
    let path = environment.keyring.join(key);
    if !path.exists() {
        return Err(format!("{absent}: {help}"));
    }
    let text = file::read(&path, Trust::Private)
        .map_err(|why| format!("{absent}, and `{}` {why}", path.display()))?;
    Ok(super::without_line_end(text))
}

/// Whether a Secret Service answers.
///
/// # Errors
/// Why not.
pub(super) fn is_served(environment: &Environment) -> Result<(), String> {
    service::open(environment).map(drop).map_err(|absent| match absent {
        service::Absent::Elsewhere(why) | service::Absent::No(why) => why,
    })
}

fn is_file_name(key: &str) -> bool {
    !key.starts_with('.') && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
