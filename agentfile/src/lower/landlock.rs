//! The second lock on files and TCP: the paths of the mount table once more, and the ports of the agent's destinations, as
//! Landlock rules. A rule holds for everything beneath its path, through mounts; so what a mount takes away inside a
//! writable one, only the mount holds. Landlock knows ports and no addresses: which host, the gateway holds.

use std::collections::{BTreeMap, HashMap};

use super::mounts::base_mounts;
use crate::base::{BASE_FILE, MINIMUM_ABI};
use crate::boundary::Boundaries;
use crate::plan::{
    Access, Base, ConnectRule, Egress, FileRights, Landlock, LandlockRule, Mount, MountSource, Origin,
};

/// DNS over TCP, to which a resolver turns when an answer is too long (RFC 7766).
const RESOLVER_PORT: u16 = 53;

/// The rules that go with `mounts`.
pub(super) fn lower(boundaries: &Boundaries, mounts: &[Mount], egress: &[Egress]) -> Landlock {
    // On an empty root no rule of a parent covers the files that name the resolver.
    let alone = matches!(boundaries.base, Base::Scratch { .. });
    let base: HashMap<&str, Option<FileRights>> = base_mounts(boundaries)
        .map(|mount| {
            let of_file = (alone && mount.network.is_some()).then_some(FileRights::Read);
            (mount.target, mount.landlock.or(of_file))
        })
        .collect();
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
    Landlock { minimum_abi: MINIMUM_ABI, rules, connect: connect(egress) }
}

/// The port of each of the agent's destinations, with the first line that has it, and the resolver's: a name is needed
/// before any of them.
fn connect(egress: &[Egress]) -> Vec<ConnectRule> {
    let mut ports: BTreeMap<u16, &Origin> = BTreeMap::new();
    for destination in egress.iter().filter(|egress| egress.agent) {
        ports.entry(destination.port).or_insert(&destination.origin);
    }
    if let Some(first) = egress.iter().find(|egress| egress.agent) {
        ports.entry(RESOLVER_PORT).or_insert(&first.origin);
    }
    ports.into_iter().map(|(port, origin)| ConnectRule { port, origin: origin.clone() }).collect()
}
