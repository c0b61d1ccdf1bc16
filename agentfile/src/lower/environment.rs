//! The environment, from scratch, and the working directory.

use crate::base::{BASE_FILE, ENVIRONMENT, PROJECTION, TRUST_BUNDLE, TRUST_ENVIRONMENT};
use crate::boundary::{Boundaries, Content, Share};
use crate::plan::{EnvironmentVariable, Origin};

/// All variables, sorted by name. `trust`: the line that needs the run's own certificates.
pub(super) fn lower(trust: Option<&Origin>) -> Vec<EnvironmentVariable> {
    let mut variables: Vec<_> = ENVIRONMENT
        .iter()
        .map(|(name, value)| EnvironmentVariable {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            origin: Origin::builtin(BASE_FILE),
        })
        .collect();
    variables.extend(trust.into_iter().flat_map(|origin| {
        TRUST_ENVIRONMENT.iter().map(|name| EnvironmentVariable {
            name: (*name).to_owned(),
            value: TRUST_BUNDLE.to_owned(),
            origin: origin.clone(),
        })
    }));
    variables.sort_by(|one, other| one.name.cmp(&other.name));
    variables
}

/// The first writable BIND or MOUNT of a folder, else the first BIND of one, else the projected files. What is outside the
/// Agentfile's folder cannot be looked at here: it counts as a folder, unless the name that it gets has a dot. (Should it be a file
/// after all, the runner begins in the projected files.)
pub(super) fn workdir(boundaries: &Boundaries) -> String {
    let dotted = |share: &Share| share.target.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let folder = |share: &Share| share.is_directory() || !share.is_file() && !dotted(share);
    let folders = || boundaries.shares.iter().filter(|share| folder(share));
    let is_bind = |share: &&Share| matches!(share.content, Content::Bind { .. });
    folders()
        .find(|share| share.writable())
        .or_else(|| folders().find(is_bind))
        .map_or_else(|| PROJECTION.to_owned(), |share| share.target.clone())
}
