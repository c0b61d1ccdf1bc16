// Changing the mount table or the root, by every interface the kernel has for it.
#include "attack.h"
#include <linux/mount.h>
#include <sys/stat.h>

// By number: <sys/mount.h> and <linux/mount.h> do not go together on older systems.
#define MS_RDONLY_ 1UL
#define MS_REMOUNT_ 32UL
#define MS_BIND_ 4096UL
#define MS_MOVE_ 8192UL
#define MS_REC_ 16384UL
#define MS_PRIVATE_ (1UL << 18)
#define MNT_DETACH_ 2

static long mount_raw(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    return syscall(SYS_mount, source, target, type, flags, data);
}

static long mount_bind(int argc, char **argv) {
    (void)argc;
    return mount_raw(argv[0], argv[1], NULL, MS_BIND_ | MS_REC_, NULL);
}

static long mount_type(int argc, char **argv) {
    (void)argc;
    return mount_raw(argv[0], argv[1], argv[0], 0, NULL);
}

static long remount_writable(int argc, char **argv) {
    (void)argc;
    return mount_raw(NULL, argv[0], NULL, MS_REMOUNT_ | MS_BIND_, NULL);
}

static long mount_move(int argc, char **argv) {
    (void)argc;
    return mount_raw(argv[0], argv[1], NULL, MS_MOVE_, NULL);
}

static long mount_private(int argc, char **argv) {
    (void)argc;
    return mount_raw(NULL, argv[0], NULL, MS_REC_ | MS_PRIVATE_, NULL);
}

static long unmount(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_umount2, argv[0], MNT_DETACH_);
}

static long open_context(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_fsopen, argv[0], 0);
}

static long fsopen_mount(int argc, char **argv) {
    (void)argc;
    long context = syscall(SYS_fsopen, argv[0], 0);
    if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return -1;
    long mount = syscall(SYS_fsmount, context, 0, 0);
    if (mount < 0) return -1;
    return syscall(SYS_move_mount, mount, "", AT_FDCWD, argv[1], MOVE_MOUNT_F_EMPTY_PATH);
}

static long pick(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_fspick, AT_FDCWD, argv[0], 0);
}

static long clone_tree(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_open_tree, AT_FDCWD, argv[0], OPEN_TREE_CLONE | AT_RECURSIVE);
}

static long open_tree_move(int argc, char **argv) {
    long tree = clone_tree(argc, argv);
    if (tree < 0) return -1;
    return syscall(SYS_move_mount, tree, "", AT_FDCWD, argv[1], MOVE_MOUNT_F_EMPTY_PATH);
}

static long move_mount_path(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_move_mount, AT_FDCWD, argv[0], AT_FDCWD, argv[1], 0);
}

static long set_attributes(int argc, char **argv) {
    (void)argc;
    struct mount_attr attributes = {.attr_clr = MOUNT_ATTR_RDONLY};
    return syscall(SYS_mount_setattr, AT_FDCWD, argv[0], 0, &attributes, sizeof attributes);
}

static long pivot(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_pivot_root, argv[0], argv[1]);
}

static long change_root(int argc, char **argv) {
    (void)argc;
    return chroot(argv[0]);
}

// The old way out: a root below the current directory, then up.
static long chroot_escape(int argc, char **argv) {
    (void)argc;
    int here = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdir(argv[0], 0777);
    if (chroot(argv[0]) < 0 || fchdir(here) < 0) return -1;
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0) return -1;
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : leak_fd(fd);
}

static long fuse_mount(int argc, char **argv) {
    (void)argc;
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    char options[128];
    if (device < 0) return -1;
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d", device, getuid(), getgid());
    return mount_raw("attack", argv[0], "fuse", 0, options);
}

// statmount and listmount (457, 458): names of mounts without /proc.
static long list_mounts(int argc, char **argv) {
    (void)argc;
    (void)argv;
    uint64_t request[4] = {24, UINT64_MAX, 0, 0}, ids[64];
    ((uint32_t *)request)[0] = 24;
    ((uint32_t *)request)[1] = 0;
    return syscall(458, request, ids, 64, 0);
}

const struct act mount_acts[] = {
    {"mount-bind", 2, mount_bind, "FROM TO"},
    {"mount", 2, mount_type, "TYPE AT"},
    {"mount-remount-writable", 1, remount_writable, "AT"},
    {"mount-move", 2, mount_move, "FROM TO"},
    {"mount-private", 1, mount_private, "AT"},
    {"umount", 1, unmount, "AT"},
    {"fsopen", 1, open_context, "TYPE"},
    {"fsopen-mount", 2, fsopen_mount, "TYPE AT"},
    {"fspick", 1, pick, "AT"},
    {"open-tree", 1, clone_tree, "FROM"},
    {"open-tree-move", 2, open_tree_move, "FROM TO"},
    {"move-mount", 2, move_mount_path, "FROM TO"},
    {"mount-setattr", 1, set_attributes, "AT"},
    {"pivot-root", 2, pivot, "NEW OLD"},
    {"chroot", 1, change_root, "DIRECTORY"},
    {"chroot-escape", 2, chroot_escape, "DIRECTORY RELATIVE"},
    {"fuse-mount", 1, fuse_mount, "AT"},
    {"listmount", 0, list_mounts, ""},
    {0},
};
