// Gaining privilege: user ids, capabilities, securebits, namespaces, privileged files.
#include "attack.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <grp.h>
#include <sys/fsuid.h>

struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static unsigned long namespace_flag(const char *name) {
    static const struct {
        const char *name;
        unsigned long flag;
    } flags[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},   {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
                 {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},  {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(flags[i].name, name) == 0) return flags[i].flag;
    return number(name);
}

// The child lives in the new namespace; the parent keeps it there.
static long hold_child(long pid) {
    if (pid == 0) stay();
    return pid;
}

// A child populates the namespaces that only children enter (pid, time).
static long unshare_one(int argc, char **argv) {
    (void)argc;
    if (syscall(SYS_unshare, namespace_flag(argv[0])) < 0) return -1;
    return hold_child(fork());
}

static long clone_flags(unsigned long flags) {
#if defined(__x86_64__)
    return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
#else
    return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
#endif
}

static long clone_one(int argc, char **argv) {
    (void)argc;
    return hold_child(clone_flags(namespace_flag(argv[0])));
}

static long clone_high(int argc, char **argv) {
    (void)argc;
    return hold_child(clone_flags(namespace_flag(argv[0]) | 1UL << 40));
}

static long clone3_one(int argc, char **argv) {
    (void)argc;
    struct clone3_arguments arguments = {.flags = namespace_flag(argv[0]), .exit_signal = SIGCHLD};
    return hold_child(syscall(SYS_clone3, &arguments, sizeof arguments));
}

static long set_namespace(int argc, char **argv) {
    (void)argc;
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", argv[0], argv[1]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : setns(fd, 0);
}

static long set_namespace_pidfd(int argc, char **argv) {
    (void)argc;
    long pidfd = syscall(SYS_pidfd_open, number(argv[0]), 0);
    return pidfd < 0 ? -1 : setns((int)pidfd, (int)namespace_flag(argv[1]));
}

// A user namespace of one's own, and with its capabilities a mount.
static long userns_mount(int argc, char **argv) {
    (void)argc;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return -1;
    return mount("tmpfs", argv[0], "tmpfs", 0, NULL);
}

static long become_root(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return setuid(0);
}

static long set_user(int argc, char **argv) {
    (void)argc;
    uid_t uid = (uid_t)number(argv[0]);
    return setresuid(uid, uid, uid);
}

static long set_group(int argc, char **argv) {
    (void)argc;
    gid_t gid = (gid_t)number(argv[0]);
    return setresgid(gid, gid, gid);
}

static long drop_groups(int argc, char **argv) {
    (void)argc;
    gid_t gid = (gid_t)number(argv[0]);
    return setgroups(1, &gid);
}

static long set_fsuid(int argc, char **argv) {
    (void)argc;
    uid_t uid = (uid_t)number(argv[0]);
    setfsuid(uid);
    if ((uid_t)setfsuid((uid_t)-1) == uid) return 0;
    errno = EPERM;
    return -1;
}

static long capset_all(int argc, char **argv) {
    (void)argc;
    (void)argv;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0x00200000, 0x00200000, 0x00200000}, {0, 0, 0}};
    return syscall(SYS_capset, &header, data);
}

static long ambient(int argc, char **argv) {
    (void)argc;
    (void)argv;
    capset_all(0, NULL);
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0);
}

static long securebits(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0);
}

static long undo_no_new_privs(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

// Becomes another program: the test looks at its ids and capabilities from outside.
static long execute(int argc, char **argv) {
    (void)argc;
    execv(argv[0], argv);
    return -1;
}

// Writes the map of a user namespace that another process made.
static long write_map(int argc, char **argv) {
    (void)argc;
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/uid_map", argv[0]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    return write(fd, "0 0 1\n", 6) < 0 ? -1 : 0;
}

const struct act privilege_acts[] = {
    {"unshare", 1, unshare_one, "NAMESPACE"},
    {"clone", 1, clone_one, "NAMESPACE"},
    {"clone-high-bits", 1, clone_high, "NAMESPACE"},
    {"clone3", 1, clone3_one, "NAMESPACE"},
    {"setns", 2, set_namespace, "PID NAMESPACE"},
    {"setns-pidfd", 2, set_namespace_pidfd, "PID NAMESPACE"},
    {"userns-mount", 1, userns_mount, "AT"},
    {"setuid-root", 0, become_root, ""},
    {"setresuid", 1, set_user, "UID"},
    {"setresgid", 1, set_group, "GID"},
    {"setgroups", 1, drop_groups, "GID"},
    {"setfsuid", 1, set_fsuid, "UID"},
    {"capset", 0, capset_all, ""},
    {"ambient", 0, ambient, ""},
    {"securebits", 0, securebits, ""},
    {"undo-no-new-privs", 0, undo_no_new_privs, ""},
    {"execute", 1, execute, "PATH words…"},
    {"write-uid-map", 1, write_map, "PID"},
    {0},
};
