// Using up what is shared, and staying behind. Each act stops by itself at the number it is given, so that a missing
// bound is a failed test and not a lost machine; the value is how far it got.
#include "attack.h"
#include <sys/mman.h>
#include <sys/stat.h>
#include <pthread.h>

static long fork_many(int argc, char **argv) {
    (void)argc;
    long most = (long)number(argv[0]), count = 0;
    for (; count < most; count++) {
        pid_t pid = fork();
        if (pid < 0) break;
        if (pid == 0) stay();
    }
    return count;
}

static void *wait_for_ever(void *unused) {
    for (;;) pause();
    return unused;
}

static long thread_many(int argc, char **argv) {
    (void)argc;
    long most = (long)number(argv[0]), count = 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (pthread_t thread; count < most && !pthread_create(&thread, &attributes, wait_for_ever, NULL); count++) {}
    return count;
}

static long open_many(int argc, char **argv) {
    (void)argc;
    long most = (long)number(argv[0]), count = 0;
    while (count < most && open("/dev/null", O_RDONLY) >= 0) count++;
    return count;
}

static long create_many(int argc, char **argv) {
    (void)argc;
    long most = (long)number(argv[1]), count = 0;
    char path[512];
    for (; count < most; count++) {
        snprintf(path, sizeof path, "%s/bomb-%ld", argv[0], count);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0) break;
        close(fd);
    }
    return count;
}

// Value in MiB.
static long fill_file(int argc, char **argv) {
    (void)argc;
    static char block[1 << 20];
    long most = (long)number(argv[1]), count = 0;
    memset(block, 'x', sizeof block);
    int fd = open(argv[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return -1;
    while (count < most && write(fd, block, sizeof block) == (ssize_t)sizeof block) count++;
    return count;
}

// memfds are memory that belongs to no mount.
static long fill_memfd(int argc, char **argv) {
    (void)argc;
    static char block[1 << 20];
    long most = (long)number(argv[0]), count = 0;
    int fd = memfd_create("bomb", MFD_CLOEXEC);
    if (fd < 0) return -1;
    while (count < most && write(fd, block, sizeof block) == (ssize_t)sizeof block) count++;
    return count;
}

// Value in MiB.
static long touch_memory(int argc, char **argv) {
    (void)argc;
    long most = (long)number(argv[0]), count = 0;
    for (; count < most; count++) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) break;
        memset(block, 1, 1 << 20);
    }
    return count;
}

// A process that left its session, its parents and its descriptors, and adds a byte to a file for ever.
static long become_daemon(int argc, char **argv) {
    (void)argc;
    pid_t pid = fork();
    if (pid) return pid;
    setsid();
    if (fork()) _exit(0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    for (int fd = 0; fd < 64; fd++) close(fd);
    for (;;) {
        int fd = open(argv[0], O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (fd >= 0 && write(fd, ".", 1) == 1) close(fd);
        usleep(20000);
    }
}

const struct act bomb_acts[] = {
    {"bomb-fork", 1, fork_many, "MOST"},
    {"bomb-threads", 1, thread_many, "MOST"},
    {"bomb-descriptors", 1, open_many, "MOST"},
    {"bomb-inodes", 2, create_many, "DIRECTORY MOST"},
    {"bomb-file", 2, fill_file, "PATH MIB"},
    {"bomb-memfd", 1, fill_memfd, "MIB"},
    {"bomb-memory", 1, touch_memory, "MIB"},
    {"daemon", 1, become_daemon, "FILE"},
    {0},
};
