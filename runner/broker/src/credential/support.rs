//! Which sources this host has: asked by trying, without any value being read, and without a vault being spoken to.

use super::{Environment, keyring, vault};

/// A form of source, and what of it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As it is written: `env:`, …
    pub form: &'static str,
    /// Whether it can be used here and now.
    pub present: bool,
    /// What was seen, as a clause.
    pub detail: String,
}

/// All forms, in the order of the documentation. It takes at most some five seconds, for a desktop's bus that hangs.
#[must_use]
pub fn sources(environment: &Environment) -> Vec<Source> {
    let always = |form, detail: &str| Source { form, present: true, detail: detail.to_owned() };
    let keyring = match keyring::is_served(environment) {
        Ok(()) => always("keyring:", "the Secret Service answers"),
        Err(why) => Source {
            form: "keyring:",
            present: false,
            detail: format!("{why}; files in `{}` stand in, unencrypted", environment.keyring.display()),
        },
    };
    let vault = match vault::configured(environment) {
        Ok(authority) => {
            always("vault://", &format!("`VAULT_ADDR` is {authority}, which is asked at launch and not here"))
        }
        Err(why) => Source { form: "vault://", present: false, detail: why },
    };
    vec![
        always("env:", "the variables of whoever starts a run"),
        always("file:", "files that nobody else can write"),
        always("dotenv:", "files that nobody else can write"),
        keyring,
        vault,
    ]
}
