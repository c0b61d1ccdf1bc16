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
    /// Whether the host's own mounts beneath it came along.
    pub(crate) recursive: bool,
}

/// Refuses any difference; returns what is worth recording.
pub(crate) fn compare(expected: &[Expected], mountinfo: &str) -> Result<BTreeMap<String, String>, Refusal> {
    // Several mounts on one point: the last line is the one that shows.
    let mut seen: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in mountinfo.lines() {
        let mut fields = line.split(' ').skip(4);
        let (Some(point), Some(options)) = (fields.next(), fields.next()) else {
            return Err(Refusal::new(Step::ReadBack, format!("`{line}` is no line of a mount table")));
        };
        seen.insert(unescape(point), options.split(',').collect());
    }
    for mount in expected {
        let options = seen.get(&mount.target).ok_or_else(|| {
            Refusal::new(Step::ReadBack, format!("nothing is mounted on `{}` inside", mount.target))
        })?;
        if let Some(missing) = mount.options.iter().find(|option| !options.contains(option)) {
            return Err(Refusal::new(
                Step::ReadBack,
                format!("the mount on `{}` is not `{missing}` inside", mount.target),
            ));
        }
    }
    let planned = |point: &str| {
        expected.iter().any(|mount| {
            point == mount.target
                || (mount.recursive
                    && point.strip_prefix(&mount.target).is_some_and(|rest| rest.starts_with('/')))
        })
    };
    if let Some(stray) = seen.keys().find(|point| !planned(point)) {
        return Err(Refusal::new(
            Step::ReadBack,
            format!("`{stray}` is mounted inside, and the plan does not name it"),
        ));
    }
    let writable: Vec<_> = seen
        .iter()
        .filter(|(_, options)| !options.contains(&"ro"))
        .map(|(point, _)| point.as_str())
        .collect();
    Ok(BTreeMap::from([
        entry("mounts", seen.len()),
        entry("read-only", seen.len() - writable.len()),
        entry("writable", writable.join(" ")),
    ]))
}

/// Undoes the kernel's `\040` for space, tab, newline and backslash.
fn unescape(point: &str) -> String {
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

    fn expected(target: &str, options: &[&'static str], recursive: bool) -> Expected {
        Expected { target: target.to_owned(), options: options.to_vec(), recursive }
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
        let seen = compare(&plan, TABLE).unwrap();
        assert_eq!(seen.get("writable").map(String::as_str), Some("/my work"));
        assert_eq!(seen.get("read-only").map(String::as_str), Some("2"));
    }

    #[test]
    fn a_missing_a_weaker_and_a_stray_mount_are_refused() {
        let root = expected("/", &["ro"], false);
        let usr = expected("/usr", &["ro"], true);
        let work = expected("/my work", &[], true);
        let missing = [root.clone(), usr.clone(), work.clone(), expected("/tmp", &[], false)];
        assert!(compare(&missing, TABLE).unwrap_err().reason.contains("nothing is mounted on `/tmp`"));
        let weaker = [root.clone(), usr.clone(), expected("/my work", &["ro"], true)];
        assert!(compare(&weaker, TABLE).unwrap_err().reason.contains("is not `ro`"));
        assert!(compare(&[root, usr], TABLE).unwrap_err().reason.contains("`/my work` is mounted inside"));
        assert!(compare(&[], "garbage").is_err());
    }
}
