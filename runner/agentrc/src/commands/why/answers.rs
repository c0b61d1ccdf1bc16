//! What a program says when the kernel denies something, which layer says so, and what to change.

/// The errors are those that each layer is armed with; the probes of every run's evidence show them.
pub(super) const ANSWERS: &[(&str, &str, &str)] = &[
    (
        "No such file or directory (ENOENT), and the host has it",
        "mounts: nothing shows it inside",
        "add `BIND path /where ro`",
    ),
    (
        "Read-only file system (EROFS)",
        "mounts: it is shown read-only, `DENY write` says so, or it is a protected path",
        "bind it `copy` or `rw`, or take the `DENY` away; a protected path stays read-only",
    ),
    (
        "Permission denied (EACCES) for a file",
        "Landlock, a path that `DENY read` hides, or the file's own mode",
        "the same lines as for the mounts: both locks come from them",
    ),
    (
        "Permission denied (EACCES) from connect or bind over TCP",
        "Landlock, from its ABI 4 on: no declared destination has that port. It comes before the other locks, which see nothing",
        "add `URL tcp://host:port`, or `https://` or `http://`; there is no line for listening",
    ),
    (
        "Network is unreachable (ENETUNREACH) over UDP, name resolution fails",
        "namespaces: nothing is there but the addresses of declared destinations; a name that no line declares does not exist",
        "add `URL https://name` (or `http://`, `tcp://`); there is no line for UDP",
    ),
    (
        "Connection refused (ECONNREFUSED)",
        "namespaces, where Landlock knows no ports: nothing listens there; or the destination's own server",
        "add a `URL` with that port",
    ),
    (
        "Connection reset, the TLS alert `unrecognized_name`, or an answer that begins with `agentrc:`",
        "the gateway, and what it denied is recorded, with its reason; without a record, the destination could not be reached",
        "the line that the record names",
    ),
    (
        "Address family not supported by protocol (EAFNOSUPPORT)",
        "seccomp: raw, packet and other unusual sockets",
        "there is no line for it",
    ),
    (
        "Operation not permitted (EPERM)",
        "seccomp, or a capability that nothing has; from connect or send, the eBPF egress filter, whose denials are recorded",
        "there is no line for the first two: no Agentfile can ask for it; for the last, a `URL` line",
    ),
    (
        "Function not implemented (ENOSYS)",
        "seccomp: not in the table",
        "there is no line for it; libraries fall back",
    ),
    ("Bad system call (exit code 159)", "seccomp: killed", "there is no line for it"),
    ("Resource temporarily unavailable (EAGAIN) from fork", "`LIMIT pids`", "raise the limit"),
    ("Too many open files (EMFILE)", "`LIMIT open_files`", "raise the limit"),
    ("No space left on device (ENOSPC)", "the size of a private folder, or `LIMIT disk`", "raise the limit"),
];
