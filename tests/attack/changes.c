// Changing what was not declared writable: contents, names, attributes, nodes.
#include "attack.h"
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>

static long put(int fd, const char *text) {
    if (fd < 0) return -1;
    return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

static long write_path(int argc, char **argv) {
    (void)argc;
    return put(open(argv[0], O_WRONLY | O_CREAT | O_TRUNC, 0755), argv[1]);
}

static long append(int argc, char **argv) {
    (void)argc;
    return put(open(argv[0], O_WRONLY | O_APPEND), argv[1]);
}

// Opens for writing and writes nothing: the descriptor is the proof, and nothing is harmed where nothing refuses it.
static long open_write(int argc, char **argv) {
    (void)argc;
    return open(argv[0], O_WRONLY | O_APPEND | O_CLOEXEC);
}

// A file without a name in a folder: as hard as creating one, and it goes away by itself.
static long create_unnamed(int argc, char **argv) {
    (void)argc;
    return open(argv[0], O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
}

// A folder that is made and removed again, for file systems without unnamed files.
static long make_and_remove(int argc, char **argv) {
    (void)argc;
    return mkdir(argv[0], 0700) < 0 ? -1 : rmdir(argv[0]);
}

static long write_mmap(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_RDWR);
    if (fd < 0) return -1;
    char *text = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (text == MAP_FAILED) return -1;
    text[0] = 'X';
    return msync(text, 4096, MS_SYNC);
}

static long truncate_path(int argc, char **argv) {
    (void)argc;
    return truncate(argv[0], 0);
}

static long open_truncate(int argc, char **argv) {
    (void)argc;
    return open(argv[0], O_RDONLY | O_TRUNC);
}

static long fallocate_path(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_WRONLY);
    return fd < 0 ? -1 : fallocate(fd, 0, 0, 1 << 16);
}

static long set_xattr(int argc, char **argv) {
    (void)argc;
    return setxattr(argv[0], "user.agentrc-test", "x", 1, 0);
}

static long chmod_path(int argc, char **argv) {
    (void)argc;
    return chmod(argv[0], (mode_t)strtoul(argv[1], NULL, 8));
}

// fchmodat2 (452): newer than most filters.
static long chmod2(int argc, char **argv) {
    (void)argc;
    return syscall(452, AT_FDCWD, argv[0], strtoul(argv[1], NULL, 8), 0);
}

static long chown_path(int argc, char **argv) {
    (void)argc;
    return chown(argv[0], getuid(), getgid());
}

static long touch(int argc, char **argv) {
    (void)argc;
    struct timespec times[2] = {{1000, 0}, {1000, 0}};
    return utimensat(AT_FDCWD, argv[0], times, 0);
}

static long set_flags(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_RDONLY), flags = FS_NODUMP_FL;
    return fd < 0 ? -1 : ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static long link_path(int argc, char **argv) {
    (void)argc;
    return link(argv[0], argv[1]);
}

// A hard link by descriptor, and then a write through it.
static long link_descriptor(int argc, char **argv) {
    (void)argc;
    char path[64];
    int fd = open(argv[0], O_PATH);
    if (fd < 0) return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (linkat(fd, "", AT_FDCWD, argv[1], AT_EMPTY_PATH) < 0 &&
        linkat(AT_FDCWD, path, AT_FDCWD, argv[1], AT_SYMLINK_FOLLOW) < 0)
        return -1;
    return put(open(argv[1], O_WRONLY | O_APPEND), "linked\n");
}

static long symlink_path(int argc, char **argv) {
    (void)argc;
    return symlink(argv[0], argv[1]);
}

static long rename_path(int argc, char **argv) {
    (void)argc;
    return rename(argv[0], argv[1]);
}

static long exchange(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_renameat2, AT_FDCWD, argv[0], AT_FDCWD, argv[1], RENAME_EXCHANGE);
}

static long whiteout(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_renameat2, AT_FDCWD, argv[0], AT_FDCWD, argv[1], RENAME_WHITEOUT);
}

static long unlink_path(int argc, char **argv) {
    (void)argc;
    return unlink(argv[0]);
}

static long rmdir_path(int argc, char **argv) {
    (void)argc;
    return rmdir(argv[0]);
}

static long mkdir_path(int argc, char **argv) {
    (void)argc;
    return mkdir(argv[0], 0777);
}

// A device node, then a read of the device through it.
static long make_node(int argc, char **argv) {
    (void)argc;
    mode_t kind = argv[1][0] == 'b' ? S_IFBLK : argv[1][0] == 'c' ? S_IFCHR : S_IFIFO;
    unlink(argv[0]);
    return mknod(argv[0], kind | 0666, makedev(number(argv[2]), number(argv[3])));
}

static long open_device(int argc, char **argv) {
    (void)argc;
    return open(argv[0], O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static long loop_device(int argc, char **argv) {
    (void)argc;
    (void)argv;
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    return control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
}

// Dies with a core dump in the current directory.
static long dump_core(int argc, char **argv) {
    (void)argc;
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    if (chdir(argv[0]) < 0) return -1;
    if (setrlimit(RLIMIT_CORE, &unlimited) < 0) {
        struct rlimit now;
        getrlimit(RLIMIT_CORE, &now);
        now.rlim_cur = now.rlim_max;
        setrlimit(RLIMIT_CORE, &now);
    }
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return 0;
}

// Makes a file with the set-user-ID bit, or any other mode, as the host would see it.
static long make_setuid(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_WRONLY | O_CREAT, 0755);
    if (fd < 0) return -1;
    return fchmod(fd, 06755);
}

const struct act change_acts[] = {
    {"write", 2, write_path, "PATH TEXT"},
    {"append", 2, append, "PATH TEXT"},
    {"open-write", 1, open_write, "PATH"},
    {"create-unnamed", 1, create_unnamed, "DIRECTORY"},
    {"make-and-remove", 1, make_and_remove, "PATH"},
    {"write-mmap", 1, write_mmap, "PATH"},
    {"truncate", 1, truncate_path, "PATH"},
    {"open-truncate", 1, open_truncate, "PATH"},
    {"fallocate", 1, fallocate_path, "PATH"},
    {"setxattr", 1, set_xattr, "PATH"},
    {"chmod", 2, chmod_path, "PATH MODE"},
    {"fchmodat2", 2, chmod2, "PATH MODE"},
    {"chown", 1, chown_path, "PATH"},
    {"utimes", 1, touch, "PATH"},
    {"setflags", 1, set_flags, "PATH"},
    {"link", 2, link_path, "FROM TO"},
    {"link-descriptor", 2, link_descriptor, "FROM TO"},
    {"symlink", 2, symlink_path, "TEXT AT"},
    {"rename", 2, rename_path, "FROM TO"},
    {"exchange", 2, exchange, "A B"},
    {"whiteout", 2, whiteout, "FROM TO"},
    {"unlink", 1, unlink_path, "PATH"},
    {"rmdir", 1, rmdir_path, "PATH"},
    {"mkdir", 1, mkdir_path, "PATH"},
    {"mknod", 4, make_node, "PATH b|c|p MAJOR MINOR"},
    {"open-device", 1, open_device, "PATH"},
    {"loop-device", 0, loop_device, ""},
    {"core-dump", 1, dump_core, "DIRECTORY"},
    {"make-setuid", 1, make_setuid, "PATH"},
    {0},
};
