//! The table of `agentrc doctor`: what each missing feature costs, why it may be missing, and the exact commands.

use super::{Family, Remedy, When};

pub(super) const ALL: &[Family] = &[Family::Debian, Family::Ubuntu, Family::Fedora, Family::Other];
const GRUB: &[Family] = &[Family::Debian, Family::Ubuntu];
const GRUBBY: &[Family] = &[Family::Fedora];
const OTHER: &[Family] = &[Family::Other];

/// What is lost without a feature.
pub const COSTS: &[(&str, &str)] = &[
    ("user-namespaces", "nothing can be run"),
    (
        "namespaced-mounts",
        "nothing can be run: a user namespace without its capabilities cannot make a new root",
    ),
    ("mount-attributes", "nothing can be run: a bind could not be made read-only with everything beneath it"),
    ("landlock", "nothing can be run: files would have one lock only"),
    ("seccomp", "nothing can be run: the kernel's whole system call table would be open"),
    ("pidfd", "nothing can be run: the sandbox could not be ended for certain"),
    ("landlock-rename", "moving a file between two declared folders fails (EXDEV)"),
    ("landlock-truncate", "truncating is held by read-only mounts alone"),
    (
        "landlock-tcp",
        "TCP ports are held by the network namespace and the gateway alone, and by eBPF where it is loaded",
    ),
    ("landlock-ioctl", "ioctl on devices is held by the minimal `/dev` and seccomp alone"),
    ("landlock-scopes", "signals and abstract sockets are held by the pid and network namespaces alone"),
    ("network", "`URL` lines are refused; without them the network is empty"),
    (
        "network-ipv6",
        "names have no IPv6 address inside, which programs do not miss; a `URL` with an IPv6 address is refused",
    ),
    (
        "ebpf",
        "the network is held by its namespace and the gateway, two locks instead of three, and what the namespace itself refuses leaves no event",
    ),
    ("overlay", "`BIND … copy` is refused; `ro` and `rw` work"),
    (
        "cgroup-delegation",
        "`LIMIT memory`, `pids`, `cpu` and `SLICE` are refused; `TIMEOUT` and `LIMIT open_files` work",
    ),
    ("cgroup-memory", "`LIMIT memory` and `SLICE mem=` are refused"),
    ("cgroup-pids", "`LIMIT pids` is refused"),
    ("cgroup-cpu", "`LIMIT cpu` and `SLICE cpu=` are refused"),
];

const NAMESPACES: &[&str] = &["user-namespaces", "namespaced-mounts", "network"];

const LANDLOCK_PARTS: &[&str] =
    &["landlock-rename", "landlock-truncate", "landlock-tcp", "landlock-ioctl", "landlock-scopes"];

const KERNEL: &str = "\
install a newer kernel: Debian 12 has 6.1 (`-t bookworm-backports` a newer one), Ubuntu 24.04 has 6.8, Fedora the newest;
nothing else gives it";

const DELEGATE: &str = "\
for this run:   systemd-run --user --scope -p Delegate=yes agentrc run ./Agentfile
for every session, also for the cpu controller:
  sudo mkdir -p /etc/systemd/system/user@.service.d
  printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf
  sudo systemctl daemon-reload     (then log in again)";

const APPARMOR: &str = "\
sudo tee /etc/apparmor.d/agentrc <<'END'
abi <abi/4.0>,
include <tunables/global>

profile agentrc \"{exe}\" flags=(unconfined) {
  userns,

  include if exists <local/agentrc>
}
END
sudo apparmor_parser -r /etc/apparmor.d/agentrc
(allows user namespaces to this one program; turning the restriction off for all is:
  sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0)";

const CONTAINER: &str = "\
the container's own seccomp profile or masked /proc is in the way; start it with
  docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \\
             --security-opt systempaths=unconfined …
  podman run --security-opt seccomp=unconfined --security-opt unmask=ALL …";

/// The table. Rows of one feature are tried in order; every row that applies is shown, `Otherwise` only alone.
pub const REMEDIES: &[Remedy] = &[
    Remedy {
        features: NAMESPACES,
        when: When::Is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
        cause: "AppArmor restricts user namespaces (the default of Ubuntu 23.10 and later)",
        commands: &[(ALL, APPARMOR)],
    },
    Remedy {
        features: NAMESPACES,
        when: When::Is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        cause: "`kernel.unprivileged_userns_clone` is 0",
        commands: &[(
            ALL,
            "echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-agentrc.conf && sudo sysctl --system",
        )],
    },
    Remedy {
        features: NAMESPACES,
        when: When::Is("/proc/sys/user/max_user_namespaces", "0"),
        cause: "`user.max_user_namespaces` is 0",
        commands: &[(
            ALL,
            "echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/60-agentrc.conf && sudo sysctl --system",
        )],
    },
    Remedy {
        features: NAMESPACES,
        when: When::Exists(&["/.dockerenv", "/run/.containerenv"]),
        cause: "this is a container, and its runtime refuses namespaces",
        commands: &[(ALL, CONTAINER)],
    },
    Remedy {
        features: NAMESPACES,
        when: When::Otherwise,
        cause: "the kernel was built without user namespaces, or a security module refuses them",
        commands: &[(
            ALL,
            "run agentrc as root, or use the distribution's own kernel (CONFIG_USER_NS=y); `dmesg | tail` may name the module",
        )],
    },
    Remedy {
        features: &["landlock"],
        when: When::Lacks("/sys/kernel/security/lsm", "landlock"),
        cause: "Landlock is not among the security modules enabled at boot",
        commands: &[
            (
                GRUB,
                "add lsm=landlock,{lsm} to GRUB_CMDLINE_LINUX in /etc/default/grub, then: sudo update-grub && sudo reboot",
            ),
            (GRUBBY, "sudo grubby --update-kernel=ALL --args=lsm=landlock,{lsm} && sudo reboot"),
            (OTHER, "boot with the kernel parameter lsm=landlock,{lsm}"),
        ],
    },
    Remedy {
        features: &["landlock"],
        when: When::Otherwise,
        cause: "this kernel has no Landlock, or it was not enabled at boot",
        commands: &[
            (
                &[Family::Debian],
                "a kernel of Debian 12 or later has it (5.13 with CONFIG_SECURITY_LANDLOCK=y): sudo apt install linux-image-amd64 && sudo reboot",
            ),
            (
                &[Family::Ubuntu],
                "a kernel of Ubuntu 22.04 or later has it: sudo apt install linux-generic && sudo reboot",
            ),
            (
                GRUBBY,
                "sudo dnf upgrade kernel && sudo grubby --update-kernel=ALL --args=lsm=landlock,lockdown,yama,selinux,bpf && sudo reboot",
            ),
            (
                OTHER,
                "use a kernel of 5.13 or later with CONFIG_SECURITY_LANDLOCK=y and landlock in its lsm= parameter",
            ),
        ],
    },
    Remedy {
        features: &["seccomp"],
        when: When::Otherwise,
        cause: "the kernel was built without CONFIG_SECCOMP_FILTER, or the container forbids seccomp(2)",
        commands: &[(
            ALL,
            "use the distribution's own kernel; every one of Debian, Ubuntu and Fedora has it",
        )],
    },
    Remedy {
        features: &["overlay"],
        when: When::Lacks("/proc/filesystems", "overlay"),
        cause: "the overlay module is not loaded",
        commands: &[(
            ALL,
            "sudo modprobe overlay && echo overlay | sudo tee /etc/modules-load.d/overlay.conf",
        )],
    },
    Remedy {
        features: &["overlay"],
        when: When::Otherwise,
        cause: "overlayfs cannot be mounted in a user namespace here (it can from Linux 5.11 on), or the state directory's file system cannot hold its upper layer",
        commands: &[(
            ALL,
            "use a newer kernel, put the state directory on ext4, xfs, btrfs or tmpfs (XDG_STATE_HOME), or bind `ro` or `rw`",
        )],
    },
    Remedy {
        features: &["cgroup-delegation", "cgroup-memory", "cgroup-pids", "cgroup-cpu"],
        when: When::Exists(&["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/unified"]),
        cause: "this machine uses cgroup v1, or both versions",
        commands: &[
            (
                GRUB,
                "add systemd.unified_cgroup_hierarchy=1 to GRUB_CMDLINE_LINUX in /etc/default/grub, then: sudo update-grub && sudo reboot",
            ),
            (
                GRUBBY,
                "sudo grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1 && sudo reboot",
            ),
            (OTHER, "boot with the kernel parameter systemd.unified_cgroup_hierarchy=1"),
        ],
    },
    Remedy {
        features: &["cgroup-delegation"],
        when: When::Otherwise,
        cause: "no cgroup v2 is delegated to this process",
        commands: &[(ALL, DELEGATE)],
    },
    Remedy {
        features: &["cgroup-memory", "cgroup-pids", "cgroup-cpu"],
        when: When::Otherwise,
        cause: "the controller is not delegated to this process, or this machine has none",
        commands: &[(ALL, DELEGATE)],
    },
    Remedy {
        features: &["network-ipv6"],
        when: When::Is("/sys/module/ipv6/parameters/disable", "1"),
        cause: "IPv6 is switched off by a boot parameter",
        commands: &[
            (
                GRUB,
                "take ipv6.disable=1 out of GRUB_CMDLINE_LINUX in /etc/default/grub, then: sudo update-grub && sudo reboot",
            ),
            (GRUBBY, "sudo grubby --update-kernel=ALL --remove-args=ipv6.disable && sudo reboot"),
            (OTHER, "boot without the kernel parameter ipv6.disable=1"),
        ],
    },
    Remedy {
        features: &["network-ipv6"],
        when: When::Is("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
        cause: "`net.ipv6.conf.default.disable_ipv6` is 1",
        commands: &[(
            ALL,
            "sudo sysctl -w net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.all.disable_ipv6=0",
        )],
    },
    Remedy {
        features: &["network-ipv6"],
        when: When::Otherwise,
        cause: "this kernel has no IPv6, or network namespaces cannot be made (see above)",
        commands: &[(ALL, "use the distribution's own kernel (CONFIG_IPV6=y or m; sudo modprobe ipv6)")],
    },
    Remedy {
        features: &["ebpf"],
        when: When::Lacks("/proc/self/mountinfo", "cgroup2"),
        cause: "no cgroup v2 is mounted, which it is attached to",
        commands: &[(ALL, "sudo mkdir -p /sys/fs/cgroup && sudo mount -t cgroup2 none /sys/fs/cgroup")],
    },
    Remedy {
        features: &["ebpf"],
        when: When::Otherwise,
        cause: "only root may load it; or a container's runtime, the kernel's lockdown or its configuration forbids it",
        commands: &[(
            ALL,
            "sudo {exe} run ./Agentfile\n(as root already: a container needs --privileged; the distribution's own kernel has CONFIG_BPF_SYSCALL=y and\nCONFIG_CGROUP_BPF=y, and must be 5.14 or newer)",
        )],
    },
    Remedy {
        features: &["mount-attributes", "pidfd"],
        when: When::Otherwise,
        cause: "this kernel is older than 5.12, or a container's seccomp profile does not know the call",
        commands: &[(ALL, KERNEL)],
    },
    Remedy {
        features: LANDLOCK_PARTS,
        when: When::Otherwise,
        cause: "this kernel's Landlock is older",
        commands: &[(ALL, KERNEL)],
    },
];
