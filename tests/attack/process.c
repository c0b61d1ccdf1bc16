// Reaching into other processes, and running programs in ways a path rule does not see.
#include "attack.h"
#include <elf.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <pthread.h>

static long trace_attach(int argc, char **argv) {
    (void)argc;
    return ptrace(PTRACE_ATTACH, (pid_t)number(argv[0]), 0, 0);
}

static long trace_seize(int argc, char **argv) {
    (void)argc;
    return ptrace(PTRACE_SEIZE, (pid_t)number(argv[0]), 0, 0);
}

static long trace_me(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return ptrace(PTRACE_TRACEME, 0, 0, 0);
}

// A parent may trace its child: also refused, or a traced child could be driven past a filter that is not inherited.
static long trace_child(int argc, char **argv) {
    (void)argc;
    (void)argv;
    pid_t pid = fork();
    if (pid == 0) stay();
    return ptrace(PTRACE_SEIZE, pid, 0, 0);
}

static long read_memory(int argc, char **argv) {
    (void)argc;
    char buffer[64];
    struct iovec local = {buffer, sizeof buffer}, remote = {(void *)number(argv[1]), sizeof buffer};
    long n = syscall(SYS_process_vm_readv, number(argv[0]), &local, 1UL, &remote, 1UL, 0UL);
    if (n > 0) leak(buffer, (size_t)n);
    return n;
}

static long write_memory(int argc, char **argv) {
    (void)argc;
    char text[] = "overwritten";
    struct iovec local = {text, sizeof text}, remote = {(void *)number(argv[1]), sizeof text};
    return syscall(SYS_process_vm_writev, number(argv[0]), &local, 1UL, &remote, 1UL, 0UL);
}

static long read_proc_memory(int argc, char **argv) {
    (void)argc;
    char path[64], buffer[64];
    snprintf(path, sizeof path, "/proc/%s/mem", argv[0]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = pread(fd, buffer, sizeof buffer, (off_t)number(argv[1]));
    if (n > 0) leak(buffer, (size_t)n);
    return n;
}

static long write_proc_memory(int argc, char **argv) {
    (void)argc;
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/mem", argv[0]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -1 : pwrite(fd, "overwritten", 12, (off_t)number(argv[1]));
}

static long open_pidfd(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_pidfd_open, number(argv[0]), 0);
}

static long take_descriptor(int argc, char **argv) {
    long pidfd = open_pidfd(argc, argv);
    if (pidfd < 0) return -1;
    for (int fd = 0; fd < 16; fd++) {
        long taken = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
        if (taken >= 0) return taken;
    }
    return -1;
}

static long compare(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_kcmp, getpid(), number(argv[0]), 1 /* KCMP_VM */, 0, 0);
}

static long advise(int argc, char **argv) {
    long pidfd = open_pidfd(argc, argv);
    struct iovec range = {(void *)number(argv[1]), 4096};
    return pidfd < 0 ? -1 : syscall(SYS_process_madvise, pidfd, &range, 1UL, 20 /* MADV_COLD */, 0UL);
}

static long raise_limit(int argc, char **argv) {
    (void)argc;
    rlim_t value = number(argv[1]);
    struct rlimit limit = {value, value};
    return setrlimit((int)number(argv[0]), &limit);
}

static long set_limit_of(int argc, char **argv) {
    (void)argc;
    struct rlimit limit = {16, 16};
    return prlimit((pid_t)number(argv[0]), RLIMIT_NOFILE, &limit, NULL);
}

// Copies a program into a memfd and executes it: no path at all.
static long execute_memfd(int argc, char **argv) {
    (void)argc;
    char buffer[65536];
    extern char **environ;
    int from = open(argv[0], O_RDONLY | O_CLOEXEC), to = memfd_create("attack", 0);
    if (from < 0 || to < 0) return -1;
    for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;)
        if (write(to, buffer, (size_t)n) != n) return -1;
    return syscall(SYS_execveat, to, "", argv, environ, AT_EMPTY_PATH);
}

// What only a sealed copy withstands: the program of another process, opened for writing.
static long overwrite_program(int argc, char **argv) {
    (void)argc;
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/exe", argv[0]);
    return open(path, O_WRONLY | O_CLOEXEC);
}

static void *thread_read(void *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) leak_fd(fd);
    return NULL;
}

// A second thread tries what the first may not.
static long read_by_thread(int argc, char **argv) {
    (void)argc;
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, thread_read, argv[0]))) return -1;
    return pthread_join(thread, NULL);
}

// Holds eight threads, so that the test can look at each from outside.
static void *thread_wait(void *unused) {
    for (;;) pause();
    return unused;
}

static long threads(int argc, char **argv) {
    (void)argc;
    (void)argv;
    pthread_t thread;
    for (int i = 0; i < 8; i++)
        if ((errno = pthread_create(&thread, NULL, thread_wait, NULL))) return -1;
    return 0;
}

static long set_dumpable_mm(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return prctl(PR_SET_MM, PR_SET_MM_START_BRK, sbrk(0), 0, 0);
}

// Writable and executable memory is a program's own business; this is here as an act that must go on working.
static long map_executable(int argc, char **argv) {
    (void)argc;
    (void)argv;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : 0;
}

const struct act process_acts[] = {
    {"ptrace-attach", 1, trace_attach, "PID"},
    {"ptrace-seize", 1, trace_seize, "PID"},
    {"ptrace-me", 0, trace_me, ""},
    {"ptrace-child", 0, trace_child, ""},
    {"vm-read", 2, read_memory, "PID ADDRESS"},
    {"vm-write", 2, write_memory, "PID ADDRESS"},
    {"proc-mem-read", 2, read_proc_memory, "PID ADDRESS"},
    {"proc-mem-write", 2, write_proc_memory, "PID ADDRESS"},
    {"pidfd-open", 1, open_pidfd, "PID"},
    {"pidfd-getfd", 1, take_descriptor, "PID"},
    {"kcmp", 1, compare, "PID"},
    {"process-madvise", 2, advise, "PID ADDRESS"},
    {"setrlimit", 2, raise_limit, "RESOURCE VALUE"},
    {"prlimit", 1, set_limit_of, "PID"},
    {"execute-memfd", 1, execute_memfd, "PROGRAM words…"},
    {"overwrite-program", 1, overwrite_program, "PID|self"},
    {"read-by-thread", 1, read_by_thread, "PATH"},
    {"threads", 0, threads, ""},
    {"prctl-mm", 0, set_dumpable_mm, ""},
    {"map-executable", 0, map_executable, ""},
    {0},
};
