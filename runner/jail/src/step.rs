//! The steps of a launch, by name. Every system call that arms something runs inside [`run`], so that each failure
//! names its step, and so that the fault-injection build can make each of them fail (`tests/fault_walk.rs`).

use rustix::io::Errno;

/// Declares the steps: name, what was being done, and what to do when it fails.
macro_rules! steps {
    ($($variant:ident $name:literal $doing:literal $help:literal)*) => {
        /// One step of a launch, roughly in the order in which a run passes them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Step { $(#[doc = $doing] $variant),* }

        impl Step {
            /// All of them.
            pub const ALL: &'static [Step] = &[$(Step::$variant),*];

            /// Its stable name, as in refusals, audit events and `AGENTRC_FAULT`.
            #[must_use]
            pub fn name(self) -> &'static str { match self { $(Step::$variant => $name),* } }

            /// What is being done, for "could not …".
            #[must_use]
            pub fn doing(self) -> &'static str { match self { $(Step::$variant => $doing),* } }

            /// What to do when the kernel refuses it; empty when there is nothing general to say.
            #[must_use]
            pub fn help(self) -> &'static str { match self { $(Step::$variant => $help),* } }
        }
    };
}

steps! {
    SingleThread "single-thread" "make sure that the supervisor has one thread" "this is a defect of agentrc: please report it"
    StandardStreams "standard-streams" "check the standard streams" ""
    ResolveSource "resolve-source" "find the host's side of a mount" ""
    Placeholder "placeholder" "hold a protected path that does not exist yet" "the folder must be writable for its owner; bind it `ro` or `copy` otherwise"
    CopyLayer "copy-layer" "make the folder of a private copy" "the state directory must be writable"
    PrepareMounts "prepare-mounts" "lay out the new root" ""
    Environment "environment" "make the environment" ""
    PrepareLandlock "prepare-landlock" "make the Landlock ruleset" "`agentrc doctor` says what this kernel lacks and how to enable it"
    PrepareSeccomp "prepare-seccomp" "assemble the system call filter" ""
    PrepareLimits "prepare-limits" "prepare the limits" "`agentrc doctor` says what this machine can limit"
    Cgroup "cgroup" "make the run's cgroup" "`agentrc doctor` says how to get a delegated cgroup"
    CgroupLimit "cgroup-limit" "write a limit of the run's cgroup" "`agentrc doctor` says how to get a delegated cgroup"
    Channel "channel" "open the channel to the sandbox" ""
    Signals "signals" "take over the signals" ""
    SupplementaryGroups "supplementary-groups" "drop the supplementary groups" ""
    Clone "clone" "make the namespaces" "`agentrc doctor` says whether user namespaces are forbidden here, and how to allow them"
    OpenLog "open-log" "open the audit log" "the state directory must be writable: see `agentrc doctor`"
    UserMap "user-map" "map the user into the sandbox" "`agentrc doctor` says whether user namespaces are restricted here, and how to allow them"
    Hostname "hostname" "set the sandbox's host name" ""
    LoopbackUp "loopback-up" "bring up the sandbox's loopback" ""
    LocalRoute "local-route" "make the declared destinations' addresses local to the sandbox" "an IPv6 address needs a kernel with IPv6"
    Listener "listener" "listen for the agent's connections" ""
    AttachFilter "attach-filter" "attach the eBPF egress filter" "`agentrc doctor` says what this kernel lacks"
    EnterCgroup "enter-cgroup" "move the sandbox into its cgroup" ""
    SendSockets "send-sockets" "hand the listening sockets to the supervisor" ""
    NamespaceFile "namespace-file" "open the sandbox's namespaces for its tools" ""
    SendDoor "send-door" "hand what tools enter by to the supervisor" ""
    PrivateMounts "private-mounts" "take the mounts out of the host's propagation" "`agentrc doctor` says whether user namespaces are restricted here, and how to allow them"
    OpenSource "open-source" "open the host's side of a mount" "it was there a moment ago: something removed it, or swapped a symbolic link in"
    SameSource "same-source" "find the same file again" "something replaced it between the check and the mount"
    CloneSource "clone-source" "clone a mount of the host" ""
    RestrictSource "restrict-source" "set the attributes of a mount" ""
    MakeOverlay "make-overlay" "make the overlay of a private copy" "`agentrc doctor` says whether overlayfs works here; the state directory must be on a file system that can be an upper layer (ext4, xfs, btrfs, tmpfs)"
    MakeTmpfs "make-tmpfs" "make a private file system" ""
    AttachRoot "attach-root" "attach the new root" ""
    MakeDirectory "make-directory" "make a directory of the new root" ""
    MakeFile "make-file" "make a file of the new root" ""
    MakeSymlink "make-symlink" "make a symbolic link of the new root" ""
    MakeSocket "make-socket" "make the broker's socket" ""
    MakeProc "make-proc" "mount a fresh proc" "inside a container, the container's own `/proc` must not be masked"
    MakePts "make-pts" "mount fresh pseudo-terminals" ""
    FindTarget "find-target" "find where a mount goes" ""
    Attach "attach" "attach a mount" ""
    Hold "hold" "make part of a mount read-only or hidden" ""
    Seal "seal" "make the new root read-only" ""
    PivotRoot "pivot-root" "enter the new root" ""
    DetachHost "detach-host" "detach the host's root" ""
    Rlimit "rlimit" "set a resource limit" "the hard limit of this shell may be lower: see `ulimit -Hn`"
    OpenPty "open-pty" "open the sandbox's terminal" ""
    SendPty "send-pty" "hand the sandbox's terminal to the supervisor" ""
    SecureBits "secure-bits" "lock the secure bits" ""
    BoundingSet "bounding-set" "empty the capability bounding set" ""
    AmbientSet "ambient-set" "empty the ambient capability set" ""
    CapabilitySets "capability-sets" "drop every capability" ""
    NoNewPrivs "no-new-privs" "set no_new_privs" ""
    Undumpable "undumpable" "close init to inspection" ""
    DieWithParent "die-with-parent" "tie the sandbox to its supervisor" ""
    ParentAlive "parent-alive" "make sure that the supervisor is still there" ""
    LandlockPath "landlock-path" "open a path for Landlock" ""
    LandlockRule "landlock-rule" "add a Landlock rule" ""
    LandlockPort "landlock-port" "add a Landlock rule for a port" ""
    LandlockRestrict "landlock-restrict" "enforce the Landlock ruleset" "`agentrc doctor` says what this kernel lacks and how to enable it"
    Seccomp "seccomp" "install the system call filter" "`agentrc doctor` says what this kernel lacks"
    Fork "fork" "make the agent's process" ""
    Session "session" "start the agent's session" ""
    Terminal "terminal" "give the agent its terminal" ""
    WorkingDirectory "working-directory" "enter the working directory" "it must be readable inside"
    OpenReadings "open-readings" "open what is read back from the kernel" ""
    Evidence "evidence" "send the evidence" ""
    ReadBack "read-back" "read the layers back from the kernel" "this kernel does not hold what it accepted: please report it with the output of `agentrc doctor --json`"
    Probe "probe" "prove a layer from inside" "this kernel does not hold what it accepted: please report it with the output of `agentrc doctor --json`"
    Gateway "gateway" "start the gateway" "`agentrc doctor` says what this machine lacks"
    GatewayConfine "gateway-confine" "take the gateway's own rights away" "`agentrc doctor` says what this kernel lacks"
    Serve "serve" "have the gateway serve the sandbox" ""
    Broker "broker" "start the broker" "`agentrc doctor` says what this machine lacks"
    BrokerConfine "broker-confine" "take the broker's own rights away" "`agentrc doctor` says what this kernel lacks"
    ServeBroker "serve-broker" "have the broker serve the sandbox" ""
    ProveFilter "prove-filter" "prove the eBPF egress filter" "this kernel does not hold what it accepted: please report it with the output of `agentrc doctor --json`"
    Zygote "zygote" "start the process that tools come from" "`agentrc doctor` says what this machine lacks"
    ToolRequest "tool-request" "ask for a tool's process" ""
    ToolProcess "tool-process" "make a tool's process" "the run's own limits of processes and of memory hold for its tools, too"
    ToolNamespaces "tool-namespaces" "join the sandbox's namespaces" ""
    ToolMounts "tool-mounts" "copy the sandbox's mounts for a tool" ""
    ToolProof "tool-proof" "prove a tool's sandbox from inside" "this kernel does not hold what it accepted: please report it with the output of `agentrc doctor --json`"
    ToolProgram "tool-program" "execute a tool's program" "it must be a program that the agent itself could execute"
    Record "record" "record that the run is armed" "the audit log must be writable: see `agentrc audit list`"
    Go "go" "let the agent start" ""
    CloseDescriptors "close-descriptors" "close what the agent must not inherit" ""
}

impl Step {
    /// The step with this number, as it came over the channel.
    pub(crate) fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// A step that failed, small enough to be sent from a process that may not allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which.
    pub(crate) step: Step,
    /// Which of its operations, counted from 0, as the layer numbers them.
    pub(crate) item: u16,
    /// What the kernel said.
    pub(crate) errno: Errno,
}

/// Runs one operation of a step.
pub(crate) fn run<T>(
    step: Step,
    item: usize,
    operation: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Failure> {
    crate::fault::check(step).and_then(|()| operation()).map_err(|errno| Failure {
        step,
        item: u16::try_from(item).unwrap_or(u16::MAX),
        errno,
    })
}
