//! Consent: which plans a person allowed to reach outside their Agentfile's folder.
//!
//! A grant is for one folder and one plan digest: a plan that changes asks again, and the same plan in another folder too. All grants
//! of one folder are in one file, `grants/SHA256-OF-THE-FOLDER.json`. A file that cannot be understood is an error: it is neither
//! taken for consent nor for its absence.

use std::path::Path;

use agentrc_audit::folder::{Durable, Folder};
use agentrc_audit::ledger::Entry;
use agentrc_audit::line::{Digest, now, unhex};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::state::StateDir;
use crate::tree;

/// Name of the folder of grants in the state directory.
pub const GRANTS: &str = "grants";
/// Version of the files' format.
const FORMAT: u32 = 1;
const LIMIT: u64 = 4 << 20;

/// One consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// File name of the Agentfile, for people: the digest decides.
    pub agentfile: String,
    /// SHA-256 (hex) of the plan.
    pub plan_sha256: String,
    /// What was asked, in the words that were shown.
    pub asked: Vec<String>,
    /// When: RFC 3339, UTC.
    pub allowed: String,
}

/// The grants of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderGrants {
    format: u32,
    /// Absolute, without symbolic links.
    pub folder: String,
    /// In the order in which they were given; each digest once.
    pub grants: Vec<Grant>,
}

impl StateDir {
    /// Whether a person allowed exactly this plan in exactly this folder (absolute, resolved by the caller).
    ///
    /// # Errors
    /// The record is damaged, or not this user's alone.
    pub fn is_granted(&self, folder: &Path, plan_sha256: &str) -> Result<bool, Error> {
        let (_, grants) = self.grants_of(folder)?;
        Ok(grants.grants.iter().any(|grant| grant.plan_sha256 == plan_sha256))
    }

    /// Records consent, durably, and in the ledger.
    ///
    /// # Errors
    /// The record is damaged or cannot be written.
    pub fn allow(
        &self,
        folder: &Path,
        agentfile: &str,
        plan_sha256: &str,
        asked: &[String],
    ) -> Result<(), Error> {
        let named = name_of(folder)?.to_owned();
        let all = self.grants_folder()?;
        lock(&all)?;
        let (file, mut grants) = self.grants_of(folder)?;
        if unhex::<32>(plan_sha256).is_none() {
            let why = format!("`{plan_sha256}` is not a plan digest");
            return Err(Error::Grants { path: all.path_of(&file), why });
        }
        self.note(Entry::Allowed { folder: named, plan_sha256: plan_sha256.to_owned() })?;
        grants.grants.retain(|grant| grant.plan_sha256 != plan_sha256);
        grants.grants.push(Grant {
            agentfile: agentfile.to_owned(),
            plan_sha256: plan_sha256.to_owned(),
            asked: asked.to_vec(),
            allowed: now(),
        });
        write(&all, &file, &grants)
    }

    /// Withdraws consent in a folder, to one plan or to all; how many there were.
    ///
    /// # Errors
    /// The record is damaged or cannot be written.
    pub fn revoke(&self, folder: &Path, plan_sha256: Option<&str>) -> Result<usize, Error> {
        let named = name_of(folder)?;
        let all = self.grants_folder()?;
        lock(&all)?;
        let (file, mut grants) = self.grants_of(folder)?;
        let meant = |grant: &Grant| plan_sha256.is_none_or(|digest| grant.plan_sha256 == digest);
        let revoked: Vec<_> = grants.grants.iter().filter(|grant| meant(grant)).cloned().collect();
        if revoked.is_empty() {
            return Ok(0);
        }
        grants.grants.retain(|grant| !meant(grant));
        // The consent ends even if the ledger cannot be written: this is the one order that fails closed.
        write(&all, &file, &grants)?;
        for grant in &revoked {
            self.note(Entry::Revoked { folder: named.to_owned(), plan_sha256: grant.plan_sha256.clone() })?;
        }
        Ok(revoked.len())
    }

    /// All grants, by folder.
    ///
    /// # Errors
    /// A record is damaged.
    pub fn grants(&self) -> Result<Vec<FolderGrants>, Error> {
        let all = self.grants_folder()?;
        let mut found = Vec::new();
        for (name, _) in tree::entries(&all)? {
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let damaged = |why: &str| Error::Grants { path: all.path_of(name), why: why.to_owned() };
            let grants = read(&all, name)?.ok_or_else(|| damaged("it vanished"))?;
            if file_of(&grants.folder) != name {
                return Err(damaged("its name is not that of its folder"));
            }
            if !grants.grants.is_empty() {
                found.push(grants);
            }
        }
        found.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(found)
    }

    fn grants_folder(&self) -> Result<Folder, Error> {
        Ok(self.folder().private_folder(Path::new(GRANTS))?)
    }

    fn grants_of(&self, folder: &Path) -> Result<(String, FolderGrants), Error> {
        let folder = name_of(folder)?;
        let (all, file) = (self.grants_folder()?, file_of(folder));
        let none = FolderGrants { format: FORMAT, folder: folder.to_owned(), grants: Vec::new() };
        let grants = read(&all, &file)?.unwrap_or(none);
        if grants.folder != folder {
            let why = format!("it is about the folder `{}`", grants.folder);
            return Err(Error::Grants { path: all.path_of(&file), why });
        }
        Ok((file, grants))
    }
}

pub(crate) fn name_of(folder: &Path) -> Result<&str, Error> {
    let wrong = |why| Error::GrantFolder { path: folder.to_owned(), why };
    let name = folder.to_str().ok_or_else(|| wrong("its name is not UTF-8"))?;
    if folder.is_absolute() { Ok(name) } else { Err(wrong("it is not absolute")) }
}

pub(crate) fn file_of(folder: &str) -> String {
    format!("{}.json", Digest::of(folder.as_bytes()))
}

fn read(all: &Folder, file: &str) -> Result<Option<FolderGrants>, Error> {
    let Some(bytes) = all.read(file, LIMIT)? else { return Ok(None) };
    let damaged = |why: String| Error::Grants { path: all.path_of(file), why };
    let grants: FolderGrants = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if grants.format != FORMAT {
        return Err(damaged(format!("format {} is not one that this version reads", grants.format)));
    }
    match grants.grants.iter().find(|grant| unhex::<32>(&grant.plan_sha256).is_none()) {
        Some(wrong) => Err(damaged(format!("`{}` is not a plan digest", wrong.plan_sha256))),
        None => Ok(Some(grants)),
    }
}

fn write(all: &Folder, file: &str, grants: &FolderGrants) -> Result<(), Error> {
    let damaged =
        |error: serde_json::Error| Error::Grants { path: all.path_of(file), why: error.to_string() };
    let mut bytes = serde_json::to_vec_pretty(grants).map_err(damaged)?;
    bytes.push(b'\n');
    Ok(all.replace(file, &bytes, Durable::Yes)?)
}

/// Held until `all` is closed, so that two that allow at once do not lose one consent.
pub(crate) fn lock(all: &Folder) -> Result<(), Error> {
    flock(all, FlockOperation::LockExclusive).map_err(Error::io("lock", all.path()))
}
