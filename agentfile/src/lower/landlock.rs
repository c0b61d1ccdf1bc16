//! The second lock on files: the paths of the mount table once more, as Landlock rules. A rule holds for everything
//! beneath its path, through mounts; so what a mount takes away inside a writable one, only the mount holds.

use std::collections::HashMap;

use super::mounts::base_mounts;
use crate::base::{BASE_FILE, MINIMUM_ABI};
use crate::boundary::Boundaries;
use crate::plan::{Access, FileRights, Landlock, LandlockRule, Mount, MountSource, Origin};

/// The rules that go with `mounts`.
pub(super) fn lower(boundaries: &Boundaries, mounts: &[Mount]) -> Landlock {
    let base: HashMap<&str, Option<FileRights>> =
        base_mounts(boundaries).map(|mount| (mount.target, mount.landlock)).collect();
    let shares: HashMap<&str, ()> =
        boundaries.shares.iter().map(|share| (share.target.as_str(), ())).collect();
    let mut rules = vec![LandlockRule {
        path: "/".to_owned(),
        rights: FileRights::List,
        optional: false,
        origin: Origin::builtin(BASE_FILE),
    }];
    for mount in mounts {
        if matches!(mount.source, MountSource::Mask | MountSource::Narrow) {
            continue;
        }
        let asked = if shares.contains_key(mount.target.as_str()) {
            Some(if mount.access == Access::ReadWrite { FileRights::Full } else { FileRights::ReadExecute })
        } else {
            base.get(mount.target.as_str()).copied().flatten()
        };
        let Some(rights) = asked else { continue };
        // A private directory that a policy made read-only.
        let rights = if mount.access == Access::ReadOnly && rights == FileRights::Full {
            FileRights::ReadExecute
        } else {
            rights
        };
        rules.push(LandlockRule {
            path: mount.target.clone(),
            rights,
            optional: mount.optional,
            origin: mount.origin.clone(),
        });
    }
    Landlock { minimum_abi: MINIMUM_ABI, rules }
}
