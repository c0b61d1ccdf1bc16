// Reaching processes outside by signals, shared memory, queues and unix sockets.
#include "attack.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

// `urg` is what the victim counts, and everyone else ignores.
static int signal_number(const char *word) { return strcmp(word, "urg") == 0 ? SIGURG : (int)number(word); }

static long kill_pid(int argc, char **argv) {
    (void)argc;
    return kill((pid_t)strtol(argv[0], NULL, 0), signal_number(argv[1]));
}

static long kill_thread(int argc, char **argv) {
    (void)argc;
    pid_t pid = (pid_t)number(argv[0]);
    return syscall(SYS_tgkill, pid, pid, signal_number(argv[1]));
}

static long kill_thread_only(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_tkill, number(argv[0]), signal_number(argv[1]));
}

static long queue_signal(int argc, char **argv) {
    (void)argc;
    return sigqueue((pid_t)number(argv[0]), signal_number(argv[1]), (union sigval){0});
}

static long kill_pidfd(int argc, char **argv) {
    (void)argc;
    long pidfd = syscall(SYS_pidfd_open, number(argv[0]), 0);
    return pidfd < 0 ? -1 : syscall(SYS_pidfd_send_signal, pidfd, signal_number(argv[1]), NULL, 0);
}

// Signals everyone in every namespace of pids that the caller's own process group reaches.
static long kill_group(int argc, char **argv) {
    (void)argc;
    return kill(0, signal_number(argv[0]));
}

// Lets the kernel send the signal: owner of a pipe, then data.
static long owner(int argc, char **argv) {
    (void)argc;
    int ends[2];
    pid_t to = (pid_t)strtol(argv[0], NULL, 0);
    if (to == 0) to = -getpgrp();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) return -1;
    if (fcntl(ends[0], F_SETOWN, to) < 0 || fcntl(ends[0], F_SETSIG, SIGURG) < 0) return -1;
    if (fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK) < 0) return -1;
    long n = write(ends[1], "x", 1);
    usleep(20000);
    return n;
}

// Likewise on an inherited descriptor (the terminal, a pipe that the caller reads).
static long owner_of(int argc, char **argv) {
    (void)argc;
    int fd = (int)number(argv[0]);
    if (fcntl(fd, F_SETOWN, -getpgrp()) < 0 || fcntl(fd, F_SETSIG, SIGURG) < 0) return -1;
    return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
}

static long slow_group(int argc, char **argv) {
    (void)argc;
    return setpriority(PRIO_PGRP, 0, (int)number(argv[0]));
}

static long shm_attach(int argc, char **argv) {
    (void)argc;
    int id = shmget((key_t)number(argv[0]), 0, 0);
    if (id < 0) return -1;
    char *text = shmat(id, NULL, 0);
    if (text == (void *)-1) return -1;
    leak(text, strnlen(text, 64));
    return 0;
}

static long shm_attach_id(int argc, char **argv) {
    (void)argc;
    char *text = shmat((int)number(argv[0]), NULL, 0);
    if (text == (void *)-1) return -1;
    leak(text, strnlen(text, 64));
    return 0;
}

static long semaphore(int argc, char **argv) {
    (void)argc;
    int id = semget((key_t)number(argv[0]), 0, 0);
    struct sembuf up = {0, 1, IPC_NOWAIT};
    return id < 0 ? -1 : semop(id, &up, 1);
}

static long queue_receive(int argc, char **argv) {
    (void)argc;
    struct {
        long type;
        char text[64];
    } message;
    int id = msgget((key_t)number(argv[0]), 0);
    if (id < 0) return -1;
    ssize_t n = msgrcv(id, &message, sizeof message.text, 0, IPC_NOWAIT | MSG_NOERROR);
    if (n > 0) leak(message.text, (size_t)n);
    return n;
}

static long posix_queue(int argc, char **argv) {
    (void)argc;
    char text[8192];
    mqd_t queue = mq_open(argv[0], O_RDONLY | O_NONBLOCK);
    if (queue < 0) return -1;
    ssize_t n = mq_receive(queue, text, sizeof text, NULL);
    if (n > 0) leak(text, (size_t)n);
    return n;
}

static long posix_shm(int argc, char **argv) {
    (void)argc;
    int fd = shm_open(argv[0], O_RDWR, 0);
    return fd < 0 ? -1 : leak_fd(fd);
}

// Address of a path, or of an abstract name written with a leading `@`.
static socklen_t address(struct sockaddr_un *to, const char *name) {
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    size_t length = strlen(name);
    if (length >= sizeof to->sun_path) length = sizeof to->sun_path - 1;
    memcpy(to->sun_path, name, length);
    if (name[0] == '@') to->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] != '@'));
}

static long unix_connect(int argc, char **argv) {
    struct sockaddr_un to;
    socklen_t length = address(&to, argv[0]);
    int kind = argc > 1 && strcmp(argv[1], "packet") == 0 ? SOCK_SEQPACKET : SOCK_STREAM;
    int fd = socket(AF_UNIX, kind | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, length) < 0) return -1;
    return send(fd, "attack\n", 7, MSG_NOSIGNAL);
}

static long unix_send(int argc, char **argv) {
    (void)argc;
    struct sockaddr_un to;
    socklen_t length = address(&to, argv[0]);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : sendto(fd, "attack\n", 7, 0, (struct sockaddr *)&to, length);
}

// The pair's other end can be aimed anew only with connect(2): socketpair(2) alone must not be a way round.
static long unix_send_from_pair(int argc, char **argv) {
    (void)argc;
    struct sockaddr_un to;
    socklen_t length = address(&to, argv[0]);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0) return -1;
    if (sendto(ends[0], "attack\n", 7, 0, (struct sockaddr *)&to, length) >= 0) return 7;
    if (connect(ends[0], (struct sockaddr *)&to, length) < 0) return -1;
    return write(ends[0], "attack\n", 7);
}

const struct act ipc_acts[] = {
    {"kill", 2, kill_pid, "PID SIGNAL"},
    {"tgkill", 2, kill_thread, "PID SIGNAL"},
    {"tkill", 2, kill_thread_only, "PID SIGNAL"},
    {"sigqueue", 2, queue_signal, "PID SIGNAL"},
    {"pidfd-kill", 2, kill_pidfd, "PID SIGNAL"},
    {"kill-group", 1, kill_group, "SIGNAL"},
    {"setown", 1, owner, "PID|0"},
    {"setown-of", 1, owner_of, "FD"},
    {"setpriority-group", 1, slow_group, "NICE"},
    {"shm", 1, shm_attach, "KEY"},
    {"shm-id", 1, shm_attach_id, "ID"},
    {"sem", 1, semaphore, "KEY"},
    {"msg", 1, queue_receive, "KEY"},
    {"mq", 1, posix_queue, "/NAME"},
    {"shm-open", 1, posix_shm, "/NAME"},
    {"unix-connect", 1, unix_connect, "PATH|@NAME [packet]"},
    {"unix-send", 1, unix_send, "PATH|@NAME"},
    {"unix-send-pair", 1, unix_send_from_pair, "PATH|@NAME"},
    {0},
};
