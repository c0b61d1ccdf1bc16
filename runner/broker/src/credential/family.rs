//! What `BROKER` asks for: a check of the plan alone.

use agentfile::plan::BrokerEntry;

use super::Error;

/// Which credential broker a plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// No `BROKER` line: each source is taken as it is.
    Any,
    /// `BROKER local`: no source is in a vault.
    Local,
    /// `BROKER vault`: the vault must be [usable](super::Resolver::vault_is_usable) at launch, also when no source is in it.
    Vault,
}

/// The family of a plan's broker entries.
///
/// # Errors
/// [`Error::NotLocal`] for a `vault://` source under `BROKER local`; [`Error::Family`] for any other family.
pub fn family(entries: &[BrokerEntry]) -> Result<Family, Error> {
    let mut asked = Family::Any;
    for entry in entries {
        if let BrokerEntry::CredentialBroker { family, .. } = entry {
            asked = match (asked, family.as_str()) {
                // The parser lets one line pass; of two, both must hold.
                (Family::Any | Family::Local, "local") => Family::Local,
                (Family::Any | Family::Vault, "vault") => Family::Vault,
                _ => return Err(Error::Family { family: family.clone() }),
            };
        }
    }
    for entry in entries {
        if let BrokerEntry::Credential { name, source, .. } = entry
            && asked == Family::Local
            && source.starts_with("vault://")
        {
            return Err(Error::NotLocal { name: name.clone(), from: source.clone() });
        }
    }
    Ok(asked)
}
