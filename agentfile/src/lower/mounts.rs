//! The mount table: the base, what lines ask for, the projection, and what policies take away, by target. Since the
//! table is sorted by target, parents come before children.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::projection::projection;
use super::{programs, protected, sources};
use crate::base::{
    BASE_FILE, BaseSource, DEV_NODES, MOUNT_MODE, MOUNT_SIZE, MOUNTS, PROC_MASKED, PROC_READ_ONLY,
    SYSTEM_BUNDLES, TRUST_BUNDLE,
};
use crate::boundary::{Boundaries, Content, Denied, Share};
use crate::path;
use crate::plan::inside::{self, Addresses};
use crate::plan::{Access, Base, Egress, Generated, HostPath, Mount, MountSource, Origin, Protected};
use crate::policy::permits::Permits;
use crate::syntax::BindMode;

/// tmpfs sizes are whole pages; a size of 0 would mean no bound.
const PAGE: u64 = 4096;

pub(super) type Table = BTreeMap<String, Mount>;

/// The mount table of `boundaries`, whose destinations are `egress`. `trust`: the line that needs the run's own certificates.
pub(super) fn lower(
    boundaries: &Boundaries,
    file: &str,
    egress: &[Egress],
    trust: Option<&Origin>,
    permits: &Permits,
) -> Vec<Mount> {
    let sizes = Sizes::of(boundaries);
    let mut table = base(boundaries, &sizes, &names(egress));
    let mut copies = 0_usize;
    for share in &boundaries.shares {
        table.insert(share.target.clone(), shared(share, file, &sizes, &mut copies));
    }
    projection(boundaries, permits, &mut table);
    if let Some(origin) = trust {
        bundles(boundaries, origin, &mut table);
    }
    denials(boundaries, &mut table);
    programs::hold(boundaries, &mut table);
    sources(boundaries, &mut table);
    directories(&mut table);
    table.into_values().collect()
}

/// `mounts` with `more`, which are instead of what is at the same path.
pub(super) fn with(mounts: Vec<Mount>, more: Vec<Mount>) -> Vec<Mount> {
    let mut table: Table =
        mounts.into_iter().chain(more).map(|mount| (mount.target.clone(), mount)).collect();
    directories(&mut table);
    table.into_values().collect()
}

/// The base's mounts that this file has.
pub(crate) fn base_mounts(boundaries: &Boundaries) -> impl Iterator<Item = &'static crate::base::BaseMount> {
    let scratch = matches!(boundaries.base, Base::Scratch { .. });
    let network = boundaries.agent_hosts().next().is_some();
    let shares: HashSet<&str> = boundaries.shares.iter().map(|share| share.target.as_str()).collect();
    MOUNTS.iter().filter(move |mount| {
        // Nothing is made inside what a line shows: on an empty root, `/etc` may be a BIND.
        let own = || !path::ancestors(mount.target).any(|folder| shares.contains(folder));
        mount.scratch || !scratch || network && mount.network.is_some() && own()
    })
}

/// The lines of `/etc/hosts` for declared names; those below wildcards have addresses only once they are asked for.
fn names(egress: &[Egress]) -> String {
    // More names than addresses are the gateway's to refuse.
    let blocks = inside::blocks(egress).unwrap_or_default();
    let names = blocks.iter().filter(|block| block.count == 1);
    // Both families: of a name that has one here, a C library does not ask for the other.
    let lines = names.map(|name| {
        let Addresses { v4, v6 } = Addresses::of(name.first);
        format!("{v4} {host}\n{v6} {host}\n", host = name.host)
    });
    lines.collect()
}

fn base(boundaries: &Boundaries, sizes: &Sizes, names: &str) -> Table {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let first = boundaries.agent_hosts().next();
    base_mounts(boundaries)
        .map(|mount| {
            let network = first.zip(mount.network);
            let file = |text: &str| {
                // The sandbox's own name, which is the agent's.
                let content = text.replace("{agent}", &boundaries.agent).replace("{names}", names);
                MountSource::File { content, mode: 0o444 }
            };
            let source = match mount.source {
                BaseSource::Bind(path) => {
                    MountSource::Bind { source: HostPath::Absolute(path.to_owned()), protected: Vec::new() }
                }
                BaseSource::Private(mode, size) => {
                    MountSource::Private { mode, size_bytes: sizes.share(size) }
                }
                BaseSource::Directory => MountSource::Directory,
                BaseSource::Proc => {
                    MountSource::Proc { masked: own(PROC_MASKED), read_only: own(PROC_READ_ONLY) }
                }
                BaseSource::Dev => MountSource::Dev { nodes: own(DEV_NODES) },
                BaseSource::File(text) => file(network.map_or(text, |(_, text)| text)),
                BaseSource::Generated(what) => MountSource::Generated { what },
            };
            let access = match mount.source {
                BaseSource::Private(..) => Access::ReadWrite,
                _ => Access::ReadOnly,
            };
            let mount = Mount {
                target: mount.target.to_owned(),
                source,
                access,
                optional: mount.optional,
                origin: network
                    .map_or_else(|| Origin::builtin(BASE_FILE), |(host, _)| host.place.origin.clone()),
            };
            (mount.target.clone(), mount)
        })
        .collect()
}

fn shared(share: &Share, file: &str, sizes: &Sizes, copies: &mut usize) -> Mount {
    let access = if share.writable() { Access::ReadWrite } else { Access::ReadOnly };
    let source = match &share.content {
        Content::Bind { source, mode: BindMode::ReadOnly, .. } => {
            MountSource::Bind { source: source.clone(), protected: Vec::new() }
        }
        Content::Bind { source, is_file: Some(true), .. } => {
            MountSource::Bind { source: source.clone(), protected: Vec::new() }
        }
        Content::Bind { source, mode: BindMode::ReadWrite, .. } => {
            MountSource::Bind { source: source.clone(), protected: protected::below(source, file) }
        }
        Content::Bind { source, mode: BindMode::Copy, .. } => {
            let layer = format!("copy-{copies}");
            *copies += 1;
            MountSource::Copy { source: source.clone(), layer, protected: protected::below(source, file) }
        }
        Content::Private { writable: true } => {
            MountSource::Private { mode: MOUNT_MODE, size_bytes: sizes.share(MOUNT_SIZE) }
        }
        // It stays empty, and takes nothing of the limit.
        Content::Private { writable: false } => MountSource::Private { mode: MOUNT_MODE, size_bytes: PAGE },
    };
    Mount {
        target: share.target.clone(),
        source,
        access,
        optional: false,
        origin: share.place.origin.clone(),
    }
}

/// The bundle of certificates, also over the system's own: not on an empty root, which shows none of those.
fn bundles(boundaries: &Boundaries, origin: &Origin, table: &mut Table) {
    let scratch = matches!(boundaries.base, Base::Scratch { .. });
    let over = SYSTEM_BUNDLES.iter().filter(|_| !scratch).map(|target| (*target, true));
    for (target, optional) in std::iter::once((TRUST_BUNDLE, false)).chain(over) {
        let mount = Mount {
            target: target.to_owned(),
            source: MountSource::Generated { what: Generated::TrustBundle },
            access: Access::ReadOnly,
            optional,
            origin: origin.clone(),
        };
        table.insert(target.to_owned(), mount);
    }
}

fn holder<'a>(table: &'a mut Table, target: &str) -> Option<&'a mut Mount> {
    let at = path::ancestors(target).find(|folder| table.contains_key(*folder))?;
    table.get_mut(at)
}

fn denials(boundaries: &Boundaries, table: &mut Table) {
    for denial in &boundaries.denials {
        let origin = denial.place.origin.clone();
        if let Some(whole) = table.get_mut(&denial.path) {
            // One of the base's private directories: nothing else may be denied as a whole.
            match denial.denied {
                Denied::Write => whole.access = Access::ReadOnly,
                Denied::Read => whole.source = MountSource::Mask,
            }
            whole.origin = origin;
            continue;
        }
        let mask = |source| Mount {
            target: denial.path.clone(),
            source,
            access: Access::ReadOnly,
            optional: false,
            origin: origin.clone(),
        };
        let Some(outer) = holder(table, &denial.path) else { continue };
        let below = denial.path.get(outer.target.len() + 1..).unwrap_or_default();
        match (denial.denied, &mut outer.source) {
            (Denied::Write, MountSource::Bind { protected, .. } | MountSource::Copy { protected, .. }) => {
                let held = Protected {
                    path: below.to_owned(),
                    directory: denial.directory,
                    content: String::new(),
                    origin,
                };
                match protected.binary_search_by(|entry| entry.path.as_str().cmp(below)) {
                    Ok(at) => {
                        if let Some(entry) = protected.get_mut(at) {
                            *entry = held;
                        }
                    }
                    Err(at) => protected.insert(at, held),
                }
            }
            (Denied::Write, _) => {
                table.insert(denial.path.clone(), mask(MountSource::Narrow));
            }
            (Denied::Read, _) => {
                table.insert(denial.path.clone(), mask(MountSource::Mask));
            }
        }
    }
}

/// The files that credentials are read from: as a `DENY read` of them. One that a nearer mount covers is not shown.
fn sources(boundaries: &Boundaries, table: &mut Table) {
    for hidden in sources::hidden(boundaries) {
        let shown = holder(table, &hidden.target).is_some_and(|outer| outer.target == hidden.share.target);
        if shown {
            table.entry(hidden.target.clone()).or_insert_with(|| Mount {
                target: hidden.target,
                source: MountSource::Mask,
                access: Access::ReadOnly,
                optional: false,
                origin: hidden.place.origin.clone(),
            });
        }
    }
}

/// Directories of the new root, and of private directories, in which others are mounted. A bind of the host already
/// has its own.
fn directories(table: &mut Table) {
    let mut made = Vec::new();
    let mut known: HashMap<String, Access> = HashMap::new();
    for mount in table.values() {
        let mut missing: Vec<&str> = Vec::new();
        let mut access = Some(Access::ReadOnly);
        for folder in path::ancestors(&mount.target) {
            if let Some(found) = known.get(folder) {
                access = Some(*found);
                break;
            }
            if let Some(outer) = table.get(folder) {
                access = match outer.source {
                    MountSource::Directory => Some(Access::ReadOnly),
                    MountSource::Private { .. } => Some(outer.access),
                    _ => None,
                };
                break;
            }
            missing.push(folder);
        }
        let Some(access) = access else { continue };
        for folder in missing {
            known.insert(folder.to_owned(), access);
            made.push(Mount {
                target: folder.to_owned(),
                source: MountSource::Directory,
                access,
                optional: false,
                origin: mount.origin.clone(),
            });
        }
    }
    for mount in made {
        table.insert(mount.target.clone(), mount);
    }
}

/// How a disk limit is divided: each private directory gets the part that its default size has in the sum of all.
struct Sizes {
    limit: Option<u64>,
    sum: u64,
}

impl Sizes {
    fn of(boundaries: &Boundaries) -> Self {
        let replaced: HashSet<&str> = boundaries.shares.iter().map(|share| share.target.as_str()).collect();
        let base = base_mounts(boundaries)
            .filter(|mount| !replaced.contains(mount.target))
            .map(|mount| if let BaseSource::Private(_, size) = mount.source { size } else { 0 });
        let asked = boundaries.shares.iter().map(|share| {
            if matches!(share.content, Content::Private { writable: true }) { MOUNT_SIZE } else { 0 }
        });
        let limit = boundaries.limits.disk.as_ref().map(|disk| disk.value);
        Self { limit, sum: base.chain(asked).fold(0, u64::saturating_add) }
    }

    fn share(&self, size: u64) -> u64 {
        let Some(limit) = self.limit else { return size };
        let share = u128::from(limit) * u128::from(size) / u128::from(self.sum.max(1));
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        (share / PAGE * PAGE).max(PAGE)
    }

    fn least(&self, boundaries: &Boundaries) -> u64 {
        let base = base_mounts(boundaries)
            .filter_map(
                |mount| if let BaseSource::Private(_, size) = mount.source { Some(size) } else { None },
            )
            .min()
            .unwrap_or(MOUNT_SIZE);
        let Some(limit) = self.limit else { return base };
        u64::try_from(u128::from(limit) * u128::from(base.min(MOUNT_SIZE)) / u128::from(self.sum.max(1)))
            .unwrap_or(u64::MAX)
    }
}

/// Whether the disk limit leaves every private directory a page.
pub(crate) fn disk_fits(boundaries: &Boundaries) -> bool {
    let sizes = Sizes::of(boundaries);
    sizes.least(boundaries) >= PAGE
}
