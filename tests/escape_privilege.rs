//! Privilege: no namespace, mount, root, id or capability is gained, and privileged programs give none.
//! (`shared/attacks.md`, "Process and kernel".)

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use agentrc_test_support::attack::program;
use agentrc_test_support::lab::copy_program;
use agentrc_test_support::{Attempt, Control, Sign, as_each, as_root_only, withstand};
use rustix::fs::XattrFlags;

const AGENTRC: &str = env!("CARGO_BIN_EXE_agentrc");
const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

#[test]
fn no_new_namespace_can_be_made_or_entered() {
    as_each(AGENTRC, |lab| {
        lab.directory(lab.project("rw/at"));
        let mut attempts = Vec::new();
        let attempt = |name: String, sign| Attempt::new(name.clone(), name, sign, Control::OwnNamespaces);
        for namespace in NAMESPACES.into_iter().chain(["time"]) {
            attempts.push(attempt(format!("unshare {namespace}"), Sign::Namespace));
            attempts.push(attempt(format!("clone3 {namespace}"), Sign::Namespace));
            // CLONE_NEWTIME lies in clone(2)'s exit signal.
            if namespace != "time" {
                attempts.push(attempt(format!("clone {namespace}"), Sign::Namespace));
                attempts.push(attempt(format!("clone-high-bits {namespace}"), Sign::Namespace));
            }
            // Entering the user namespace one is in is an error everywhere; the time namespace is the host's.
            if namespace != "user" && namespace != "time" {
                attempts.push(attempt(format!("setns 1 {namespace}"), Sign::Value));
            }
        }
        attempts.push(attempt("setns-pidfd 1 mnt".into(), Sign::Value));
        attempts.push(
            Attempt::new(
                "a mount by way of a user namespace",
                "userns-mount /work/rw/at",
                Sign::Namespace,
                Control::OwnNamespaces,
            )
            .outside(format!("userns-mount {}", lab.project("rw/at").display())),
        );
        withstand(lab, "AGENT namespaces\nBIND ./rw /work/rw rw", &attempts);
    });
}

#[test]
fn the_mount_table_and_the_root_cannot_be_changed() {
    as_each(AGENTRC, |lab| {
        for folder in ["ro", "rw/at", "rw/old", "rw/moved"] {
            lab.directory(lab.project(folder));
        }
        lab.file(lab.project("ro/file"), "read-only\n");
        let host = lab.project("").display().to_string();
        let table = |line: &str| {
            Attempt::new(line, line, Sign::MountTable, Control::OwnNamespaces)
                .outside(line.replace("/work/", &host))
        };
        let holds = |line: &str, kind| {
            Attempt::new(line, line, Sign::Descriptor(kind), Control::OwnNamespaces)
                .outside(line.replace("/work/", &host))
        };
        let value = |line: &str| {
            Attempt::new(line, line, Sign::Value, Control::OwnNamespaces)
                .outside(line.replace("/work/", &host))
        };
        withstand(
            lab,
            "AGENT mounts\nBIND ./rw /work/rw rw\nBIND ./ro /work/ro ro",
            &[
                table("mount tmpfs /work/rw/at"),
                table("mount-bind / /work/rw/at"),
                table("umount /work/rw/at"),
                table("mount-bind /work/ro /work/rw/at"),
                table("umount /work/ro").outside(format!("umount {host}rw/at")),
                table("mount-bind /work/rw/old /work/rw/at"),
                table("mount-move /work/ro /work/rw/moved")
                    .outside(format!("mount-move {host}rw/at {host}rw/moved")),
                value("mount-remount-writable /work/ro")
                    .outside(format!("mount-remount-writable {host}rw/moved")),
                table("mount proc /work/rw/at"),
                table("mount sysfs /work/rw/at"),
                table("mount cgroup2 /work/rw/at"),
                table("mount devpts /work/rw/at"),
                table("mount mqueue /work/rw/at"),
                table("mount ramfs /work/rw/at"),
                value("mount-setattr /work/ro").outside(format!("mount-setattr {host}rw/moved")),
                holds("fsopen tmpfs", "anon_inode:[fscontext]"),
                table("fsopen-mount tmpfs /work/rw/at"),
                holds("fspick /work/rw", "anon_inode:[fscontext]").outside(format!("fspick {host}rw/at")),
                value("open-tree /work/rw/at"),
                table("open-tree-move / /work/rw/at"),
                table("move-mount /work/ro /work/rw/old")
                    .outside(format!("move-mount {host}rw/at {host}rw/old")),
                Attempt::new("fuse", "fuse-mount /work/rw/at", Sign::MountTable, fuse(lab.who.is_root()))
                    .outside(format!("fuse-mount {host}rw/at")),
                Attempt::new("chroot", "chroot /work/rw", Sign::Root, Control::OwnNamespaces)
                    .outside(format!("chroot {host}rw")),
                Attempt::new(
                    "chroot and up",
                    format!(
                        "chroot-escape /work/rw/jail {}",
                        &lab.outside("secret").display().to_string()[1..]
                    ),
                    Sign::Secret,
                    Control::OwnNamespaces,
                )
                .outside(format!(
                    "chroot-escape {host}rw/jail {}",
                    &lab.outside("secret").display().to_string()[1..]
                )),
                value("pivot-root /work/rw /work/rw/old")
                    .outside(format!("pivot-root {host}rw/old {host}rw/old")),
            ],
        );
    });
}

/// Whether a file system in user space can be mounted here without a sandbox.
fn fuse(root: bool) -> Control {
    match fs::metadata("/dev/fuse").map(|device| device.permissions().mode() & 0o006) {
        Ok(6) => Control::OwnNamespaces,
        Ok(_) if root => Control::OwnNamespaces,
        _ => Control::None("this host gives its users no /dev/fuse"),
    }
}

#[test]
fn no_privilege_can_be_gained() {
    as_each(AGENTRC, |lab| {
        let own = |line: &str, sign| Attempt::new(line, line, sign, Control::OwnNamespaces);
        let root = |line: &str, sign| Attempt::new(line, line, sign, Control::HostRoot);
        let to_root = if lab.who.is_root() { "setresuid 61400" } else { "setuid-root" };
        withstand(
            lab,
            "AGENT privilege",
            &[
                own("capset", Sign::Status("CapEff")),
                own("ambient", Sign::Status("CapAmb")),
                own("securebits", Sign::Value),
                root(to_root, Sign::Status("Uid")),
                root("setresuid 1", Sign::Status("Uid")),
                root("setresgid 1", Sign::Status("Gid")),
                root("setgroups 1", Sign::Status("Groups")),
                root("setfsuid 1", Sign::Status("Uid")),
                root("prctl-mm", Sign::Value).outside("map-executable"),
                Attempt::new(
                    "no_new_privs",
                    "undo-no-new-privs",
                    Sign::Status("NoNewPrivs"),
                    Control::None("the kernel never lets it be undone"),
                ),
            ],
        );
    });
}

#[test]
fn privileged_programs_gain_nothing() {
    // Only root can make the programs; they are run as an ordinary user and as root.
    as_root_only(AGENTRC, |root| {
        as_each(AGENTRC, |lab| {
            let _ = root;
            lab.directory(lab.project("rw"));
            let make = |name: &str, owner: u32| {
                let path = lab.project("rw").join(name);
                copy_program(program(), &path);
                chown(&path, Some(owner), Some(owner)).expect("chown");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).expect("chmod");
                path.display().to_string()
            };
            let setuid = make("setuid", if lab.who.is_root() { 61_400 } else { 0 });
            let capable = make("capable", lab.who.uid);
            fs::set_permissions(&capable, fs::Permissions::from_mode(0o755)).expect("chmod");
            // struct vfs_cap_data, revision 2, effective: CAP_SYS_ADMIN (21) permitted.
            let capability: [u8; 20] = [1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            rustix::fs::setxattr(capable.as_str(), "security.capability", &capability, XattrFlags::empty())
                .expect("setxattr");
            let mut attempts = vec![
                Attempt::new(
                    "set-user-ID",
                    "execute /work/rw/setuid hold",
                    Sign::Status("Uid"),
                    Control::Host,
                )
                .outside(format!("execute {setuid} hold")),
                Attempt::new(
                    "set-group-ID",
                    "execute /work/rw/setuid hold",
                    Sign::Status("Gid"),
                    Control::Host,
                )
                .outside(format!("execute {setuid} hold")),
            ];
            if !lab.who.is_root() {
                attempts.push(
                    Attempt::new(
                        "file capabilities",
                        "execute /work/rw/capable hold",
                        Sign::Status("CapEff"),
                        Control::Host,
                    )
                    .outside(format!("execute {capable} hold")),
                );
            }
            withstand(lab, "AGENT privileged\nBIND ./rw /work/rw rw", &attempts);
        });
    });
}
