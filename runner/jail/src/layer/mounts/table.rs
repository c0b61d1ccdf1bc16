//! Compares what the kernel says is mounted (proc_pid_mountinfo(5)) with what the plan asked for: every planned mount is
//! there with its attributes, and nothing else is.

use std::collections::BTreeMap;

use crate::layer::entry;
use crate::refusal::Refusal;
use crate::step::Step;

/// A planned mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Where, absolute.
    pub(crate) target: String,
    /// Options that the kernel must show for it: `ro`, `nosuid`, `nodev`, `noexec`.
    pub(crate) options: Vec<&'static str>,
    /// What it must be a mount of.
    pub(crate) file_system: FileSystem,
}

/// What a planned mount is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    /// One that was made for the run, of this type.
    Own(&'static str),
    /// A device node of the host.
    Device,
    /// Files of the host; its own mounts beneath came along.
    Host,
    /// One that hides a socket of the host, and goes when the host removes the socket.
    Cover,
}

/// File systems through which the kernel itself is read or steered. The host's, with a bind, would be a way out.
const KERNEL: &[&str] = &[
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "functionfs",
    "mqueue",
    "nfsd",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
];

/// Where each mount was when the sandbox was armed, by its id. A mount goes with the folder that it is on: the host may
/// rename a folder above what is hidden, and it stays hidden. What is held by name is pinned with all that is above it, so
/// only the host can have moved that, and the name is then free.
pub(crate) type Armed = BTreeMap<u64, String>;

/// The ids and places of a table.
pub(crate) fn armed(mountinfo: &str) -> Armed {
    mountinfo.lines().filter_map(Seen::of).map(|(point, seen)| (seen.id, point)).collect()
}

/// Refuses any difference; returns what is worth recording. With the table as it was `armed`, mounts count where they were
/// then, and covers may have gone since.
pub(crate) fn compare(
    expected: &[Expected],
    mountinfo: &str,
    armed: Option<&Armed>,
) -> Result<BTreeMap<String, String>, Refusal> {
    // Several mounts on one point: the last line is the one that shows.
    let mut seen: BTreeMap<String, Seen<'_>> = BTreeMap::new();
    for line in mountinfo.lines() {
        let Some((point, found)) = Seen::of(line) else {
            return Err(Refusal::new(Step::ReadBack, format!("`{line}` is no line of a mount table")));
        };
        let then = armed.and_then(|armed| armed.get(&found.id)).filter(|then| {
            let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
            let hidden = |mount: &Expected| mount.target == **then && mount.file_system != FileSystem::Host;
            name(then) == name(&point) && expected.iter().any(hidden)
        });
        seen.insert(then.cloned().unwrap_or(point), found);
    }
    for mount in expected {
        let Some(found) = seen.get(&mount.target) else {
            if mount.file_system == FileSystem::Cover && armed.is_some() {
                continue;
            }
            let reason = format!("nothing is mounted on `{}` inside", mount.target);
            return Err(Refusal::new(Step::ReadBack, reason));
        };
        check(mount, &mount.target, found)?;
        if let FileSystem::Own(kind) = mount.file_system
            && kind != found.kind
        {
            let reason = format!("`{}` is of type {} inside, not {kind}", mount.target, found.kind);
            return Err(Refusal::new(Step::ReadBack, reason));
        }
    }
    // What came along beneath a bind is held to what the bind is.
    for (point, found) in
        seen.iter().filter(|(point, _)| !expected.iter().any(|mount| mount.target == **point))
    {
        let above = expected
            .iter()
            .filter(|mount| mount.file_system == FileSystem::Host)
            .filter(|mount| point.strip_prefix(&mount.target).is_some_and(|rest| rest.starts_with('/')))
            .max_by_key(|mount| mount.target.len());
        match above {
            Some(mount) => check(mount, point, found)?,
            None => {
                let reason = format!("`{point}` is mounted inside, and the plan does not name it");
                return Err(Refusal::new(Step::ReadBack, reason));
            }
        }
    }
    let writable: Vec<_> = seen
        .iter()
        .filter(|(_, found)| !found.options.contains(&"ro"))
        .map(|(point, _)| point.as_str())
        .collect();
    Ok(BTreeMap::from([
        entry("mounts", seen.len()),
        entry("read-only", seen.len() - writable.len()),
        entry("writable", writable.join(" ")),
    ]))
}

/// One line of the kernel's table.
struct Seen<'a> {
    id: u64,
    options: Vec<&'a str>,
    kind: &'a str,
}

impl<'a> Seen<'a> {
    /// Reads a line: where, and what.
    fn of(line: &'a str) -> Option<(String, Self)> {
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ');
        let id = fields.next()?.parse().ok()?;
        let mut fields = fields.skip(3);
        let (point, options) = (fields.next()?, fields.next()?);
        let seen = Self { id, options: options.split(',').collect(), kind: rest.split(' ').next()? };
        Some((unescape(point), seen))
    }
}

/// Whether what is mounted on `point` has the options of `mount`, and is nothing of the kernel's.
fn check(mount: &Expected, point: &str, found: &Seen<'_>) -> Result<(), Refusal> {
    if let Some(missing) = mount.options.iter().find(|option| !found.options.contains(option)) {
        let reason = format!("the mount on `{point}` is not `{missing}` inside");
        return Err(Refusal::new(Step::ReadBack, reason));
    }
    if mount.file_system == FileSystem::Host && KERNEL.contains(&found.kind) {
        let reason =
            format!("`{point}` would show a {} of the host, which leads out of the sandbox", found.kind);
        return Err(
            Refusal::new(Step::ReadBack, reason).help("unmount it there, or bind the folders beside it")
        );
    }
    Ok(())
}

/// Undoes the kernel's `\040` for space, tab, newline and backslash.
pub(crate) fn unescape(point: &str) -> String {
    let mut bytes = Vec::with_capacity(point.len());
    let mut rest = point.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = tail
            .first_chunk::<3>()
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(target: &str, options: &[&'static str], host: bool) -> Expected {
        let file_system = if host { FileSystem::Host } else { FileSystem::Own("tmpfs") };
        Expected { target: target.to_owned(), options: options.to_vec(), file_system }
    }

    #[test]
    fn what_comes_along_beneath_a_bind_is_held_to_the_bind_and_never_of_the_kernels() {
        let plan = [
            expected("/", &["ro"], false),
            expected("/usr", &[], true),
            expected("/my work", &["nosuid"], true),
        ];
        let with = |line: &str| compare(&plan, &format!("{TABLE}{line}\n"), None);
        assert!(with("4 3 8:2 / /my\\040work/disk rw,nosuid,nodev - ext4 /dev/vdb rw").is_ok());
        let suid = with("4 3 8:2 / /my\\040work/disk rw,nodev - ext4 /dev/vdb rw");
        assert!(suid.unwrap_err().reason.contains("not `nosuid`"));
        let proc = with("4 3 0:9 / /my\\040work/proc rw,nosuid,nodev - proc proc rw");
        assert!(proc.unwrap_err().reason.contains("a proc of the host"));
        let over = with("4 3 0:9 / /my\\040work rw,nosuid,nodev - sysfs sysfs rw");
        assert!(over.unwrap_err().reason.contains("a sysfs of the host"));
        let other = with("4 1 0:9 / / ro,nosuid,nodev - ext4 /dev/vda rw");
        assert!(other.unwrap_err().reason.contains("not tmpfs"));
    }

    const TABLE: &str = "1 0 0:1 / / ro,nosuid,nodev - tmpfs none rw\n\
                         2 1 8:1 /usr /usr ro,nosuid,nodev - ext4 /dev/vda rw\n\
                         3 1 8:1 /w /my\\040work rw,nosuid,nodev - ext4 /dev/vda rw\n";

    #[test]
    fn a_table_as_planned_is_accepted() {
        let plan = [
            expected("/", &["ro"], false),
            expected("/usr", &["ro", "nodev"], true),
            expected("/my work", &["nosuid"], true),
        ];
        let seen = compare(&plan, TABLE, None).unwrap();
        assert_eq!(seen.get("writable").map(String::as_str), Some("/my work"));
        assert_eq!(seen.get("read-only").map(String::as_str), Some("2"));
    }

    #[test]
    fn a_missing_a_weaker_and_a_stray_mount_are_refused() {
        let root = expected("/", &["ro"], false);
        let usr = expected("/usr", &["ro"], true);
        let work = expected("/my work", &[], true);
        let missing = [root.clone(), usr.clone(), work.clone(), expected("/tmp", &[], false)];
        assert!(compare(&missing, TABLE, None).unwrap_err().reason.contains("nothing is mounted on `/tmp`"));
        let weaker = [root.clone(), usr.clone(), expected("/my work", &["ro"], true)];
        assert!(compare(&weaker, TABLE, None).unwrap_err().reason.contains("is not `ro`"));
        assert!(
            compare(&[root, usr], TABLE, None).unwrap_err().reason.contains("`/my work` is mounted inside")
        );
        assert!(compare(&[], "garbage", None).is_err());
    }

    #[test]
    fn a_cover_may_go_with_its_socket_and_nothing_else_may() {
        let cover = Expected { file_system: FileSystem::Cover, ..expected("/my work/s", &["ro"], false) };
        let plan = [
            expected("/", &["ro"], false),
            expected("/usr", &[], true),
            expected("/my work", &[], true),
            cover,
        ];
        assert!(compare(&plan, TABLE, None).is_err(), "while arming it must be there");
        let armed = armed(TABLE);
        assert!(compare(&plan, TABLE, Some(&armed)).is_ok());
        let without = TABLE.lines().take(2).collect::<Vec<_>>().join("\n");
        assert!(compare(&plan, &without, Some(&armed)).is_err());
    }

    #[test]
    fn what_is_hidden_may_move_with_its_folder_and_what_is_held_by_name_may_not() {
        let hidden = expected("/my work/a/secret", &["ro"], false);
        let plan = [
            expected("/", &["ro"], false),
            expected("/usr", &[], true),
            expected("/my work", &[], true),
            hidden,
        ];
        let table = format!("{TABLE}4 3 0:1 /x /my\\040work/a/secret ro - tmpfs none rw\n");
        let armed = armed(&table);
        let ok = |table: &str| compare(&plan, table, Some(&armed)).is_ok();
        assert!(ok(&table));
        let moved = table.replace("/a/secret", "/b/secret");
        assert!(compare(&plan, &moved, None).is_err());
        assert!(ok(&moved), "the folder above was renamed");
        assert!(!ok(&moved.replace("4 3 0:1", "9 3 0:1")), "another mount");
        assert!(!ok(&moved.replace("secret ro", "secret rw")), "a weaker one");
        assert!(!ok(&table.replace("/a/secret", "/a/other")), "only the host can rename it itself");
        assert!(!ok(&table.replace("/my\\040work", "/elsewhere")), "what is held by name");
    }
}
