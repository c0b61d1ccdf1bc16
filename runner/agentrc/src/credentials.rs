//! Credentials before the launch: a process of its own reads their sources, and hands the values to the gateway without
//! their ever being here. The supervisor learns names and placeholders.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use agentfile::plan::{BrokerEntry, Plan};
use agentrc_broker::credential::{Environment, Family, Resolver, family};
use agentrc_jail::service::{Role, Service};
use agentrc_secret::Placeholder;
use agentrc_secret::wire::{self, Credential};
use agentrc_service::channel;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The step's name in refusals.
pub const STEP: &str = "credentials";
/// How long all sources together may take: a vault has ten seconds for each answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the resolver says, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "resolved", rename_all = "kebab-case", deny_unknown_fields)]
enum Said {
    /// Names, and what stands for the values inside.
    Placeholders { placeholders: Vec<(String, String)> },
    /// Why a value cannot be had, and the line that asks for it.
    Failed(Failed),
}

/// Why there is no value.
#[derive(Debug, Serialize, Deserialize)]
struct Failed {
    origin: Option<String>,
    reason: String,
}

/// A resolver at work.
#[derive(Debug)]
pub struct Resolving {
    service: Service,
    values: UnixStream,
}

impl Resolving {
    /// Starts resolving the plan's credentials: sources are relative to `folder`, `keyring` is where files stand in for one.
    /// `None`: the plan has none.
    ///
    /// # Errors
    /// What the plan asks for cannot be, such as a vault's source under `BROKER local`; or there is no process.
    pub fn start(plan: &Plan, folder: PathBuf, keyring: PathBuf) -> Result<Option<Self>, Refusal> {
        let wanted = family(&plan.broker).map_err(|error| Refusal::new(error.to_string()).step(STEP))?;
        let any = plan.broker.iter().any(|entry| matches!(entry, BrokerEntry::Credential { .. }));
        if !any && wanted != Family::Vault {
            return Ok(None);
        }
        let pair = UnixStream::pair();
        let (values, theirs) =
            pair.map_err(|error| Refusal::new(format!("no socket for the values: {error}")).step(STEP))?;
        let service = Service::start(Role::Resolver, &[theirs.as_fd()], |channel| {
            work(&channel, &theirs, plan, wanted, &Environment::of_process(folder, keyring))
        })
        .map_err(|refusal| Refusal::from(&refusal))?;
        Ok(Some(Self { service, values }))
    }

    /// Where the values come out: for the gateway.
    #[must_use]
    pub fn values(&self) -> &UnixStream {
        &self.values
    }

    /// Waits for names and placeholders, those that the agent gets as variables.
    ///
    /// # Errors
    /// A value cannot be had.
    pub fn placeholders(self, plan: &Plan) -> Result<Vec<(OsString, OsString)>, Refusal> {
        let refused = |reason: &str| Refusal::new(reason).step(STEP);
        match channel::receive_within::<Said>(self.service.channel(), PATIENCE) {
            Ok(Some(Said::Placeholders { placeholders })) => {
                // The older form puts its value in unasked: there is nothing for the agent to send.
                let older = |name: &str| {
                    plan.broker.iter().any(|entry| {
                        matches!(entry, BrokerEntry::Credential { name: planned, older_form: true, .. } if planned == name)
                    })
                };
                let of_the_agent = placeholders.into_iter().filter(|(name, _)| !older(name));
                of_the_agent
                    .map(|(name, placeholder)| match Placeholder::parse(&placeholder) {
                        Ok(_) => Ok((name.into(), placeholder.into())),
                        Err(error) => Err(refused(&error.to_string())),
                    })
                    .collect()
            }
            Ok(Some(Said::Failed(Failed { origin, reason }))) => {
                let refusal = refused(&reason);
                Err(match origin {
                    Some(origin) => refusal.at(origin),
                    None => refusal,
                })
            }
            Ok(None) => Err(refused("the process that reads credentials ended without an answer")),
            Err(Errno::TIMEDOUT) => Err(refused("the sources of the credentials did not answer in time")),
            Err(errno) => {
                let error = std::io::Error::from(errno);
                Err(refused(&format!("the process that reads credentials cannot be heard: {error}")))
            }
        }
    }
}

/// The resolver's whole life.
fn work(
    channel: &OwnedFd,
    mut values: &UnixStream,
    plan: &Plan,
    wanted: Family,
    environment: &Environment,
) -> u8 {
    let said = match resolve(plan, wanted, environment) {
        Ok(credentials) => {
            // The gateway first: what the agent gets stands for something, or the run does not start.
            if let Err(error) = wire::send(&mut values, &credentials) {
                Said::Failed(Failed { origin: None, reason: error.to_string() })
            } else {
                let placeholders =
                    credentials.iter().map(|one| (one.name.clone(), one.placeholder.as_str().to_owned()));
                Said::Placeholders { placeholders: placeholders.collect() }
            }
        }
        Err(failed) => Said::Failed(failed),
    };
    u8::from(channel::send(channel.as_fd(), &said, &[]).is_err())
}

/// All values, each from its source.
fn resolve(plan: &Plan, wanted: Family, environment: &Environment) -> Result<Vec<Credential>, Failed> {
    let mut resolver = Resolver::new(environment);
    let mut credentials = Vec::new();
    for entry in &plan.broker {
        match entry {
            BrokerEntry::CredentialBroker { origin, .. } if wanted == Family::Vault => {
                resolver.vault_is_usable().map_err(|error| Failed {
                    origin: Some(origin.to_string()),
                    reason: error.to_string(),
                })?;
            }
            BrokerEntry::Credential { name, source, origin, .. } => {
                let failed = |reason: String| Failed {
                    origin: Some(origin.to_string()),
                    reason: format!("`{name}`: {reason}"),
                };
                let secret = resolver.resolve(source).map_err(|error| failed(error.to_string()))?;
                let placeholder = Placeholder::of(&secret).map_err(|error| failed(error.to_string()))?;
                credentials.push(Credential { name: name.clone(), placeholder, secret });
            }
            _ => {}
        }
    }
    resolver.end().map_err(|error| Failed { origin: None, reason: error.to_string() })?;
    Ok(credentials)
}
