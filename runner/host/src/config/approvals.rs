//! `[approvals]`: what a person is asked about on this host, whatever an Agentfile's policies say.

use std::fmt;
use std::time::Duration;

use super::file::{self, Text};
use super::{Error, Setting};

/// How long a ticket waits where nothing says otherwise.
pub const DEFAULT_EXPIRY: Duration = Duration::from_secs(600);
/// The longest that it can.
const MOST_SECONDS: u64 = 24 * 60 * 60;
/// What a person can be asked about: calls. A connection and the kernel wait for nobody.
const ACTIONS: [&str; 5] = ["tool.invoke", "function.invoke", "skill.invoke", "memory.read", "memory.write"];

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvals {
    /// What needs one; of both files, the system's first.
    pub require: Vec<Setting<Asks>>,
    /// Seconds that a ticket waits.
    pub expires: Option<Setting<u64>>,
}

/// One thing that a person is asked about: `tool.invoke`, `tool.invoke file_write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// The action, as Cedar knows it.
    pub action: String,
    /// On what of that name, byte for byte; `None` on all.
    pub name: Option<String>,
}

impl Asks {
    /// Whether this takes in `action` on `name`.
    #[must_use]
    pub fn takes_in(&self, action: &str, name: &str) -> bool {
        self.action == action && self.name.as_deref().is_none_or(|only| only == name)
    }
}

impl fmt::Display for Asks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.action)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(formatter, " {name}"))
    }
}

impl Approvals {
    /// How long a ticket waits.
    #[must_use]
    pub fn expiry(&self) -> Duration {
        self.expires.as_ref().map_or(DEFAULT_EXPIRY, |setting| Duration::from_secs(setting.value))
    }

    pub(super) fn of(text: &Text, read: file::Approvals) -> Result<Self, Error> {
        let require = read.require.unwrap_or_default().into_iter().map(|written| {
            let asks = asks(written.get_ref()).map_err(|(why, help)| text.wrong(&written, why, help))?;
            Ok::<_, Error>(text.setting(&written, asks))
        });
        let expires = read.expires_seconds.map(|written| {
            let seconds = *written.get_ref();
            if !(1..=MOST_SECONDS).contains(&seconds) {
                let why = format!("{seconds} s is no time that a ticket can wait");
                return Err(text.wrong(&written, why, format!("write a number from 1 to {MOST_SECONDS}")));
            }
            Ok(text.setting(&written, seconds))
        });
        Ok(Self { require: require.collect::<Result<_, _>>()?, expires: expires.transpose()? })
    }

    /// What either asks about is asked about, and the shorter time holds.
    pub(super) fn narrowed_by(mut self, user: Self) -> Self {
        for setting in user.require {
            if self.require.iter().all(|known| known.value != setting.value) {
                self.require.push(setting);
            }
        }
        self.expires = match (self.expires, user.expires) {
            (Some(system), Some(user)) => Some(if user.value < system.value { user } else { system }),
            (system, user) => system.or(user),
        };
        self
    }
}

/// `ACTION` or `ACTION NAME`, with one space.
fn asks(text: &str) -> Result<Asks, (String, String)> {
    let (action, name) = match text.split_once(' ') {
        Some((action, name)) => (action, Some(name)),
        None => (text, None),
    };
    if !ACTIONS.contains(&action) {
        let why = format!("`{text}` does not begin with an action that a person can be asked about");
        return Err((why, format!("it is one of {}, alone or with a name behind it", ACTIONS.join(", "))));
    }
    if name.is_some_and(|name| name.is_empty() || name.contains(char::is_whitespace)) {
        let why = format!("`{text}` has something else than one name behind its action");
        return Err((why, format!("write `{action}`, or `{action} NAME` with one space")));
    }
    Ok(Asks { action: action.to_owned(), name: name.map(str::to_owned) })
}
