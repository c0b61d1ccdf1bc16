// What the tests need beside attempts: a victim to be signalled, a keeper of shared memory, a terminal to run on.
#include "attack.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <termios.h>

static const char *victim_file;

static void note(int signal) {
    (void)signal;
    int fd = open(victim_file, O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, "signalled\n", 10) < 0) _exit(3);
    close(fd);
}

// A process outside that writes each SIGURG it gets into a file. It holds a secret in memory and prints where.
static int victim(int argc, char **argv) {
    (void)argc;
    static char secret[64];
    victim_file = argv[1];
    snprintf(secret, sizeof secret, "%s", argv[2]);
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGURG, &action, NULL);
    printf("%d %p\n", getpid(), (void *)secret);
    fflush(stdout);
    while (1) pause();
    return 0;
}

// Makes a segment, a semaphore, a queue, a POSIX queue and POSIX shared memory with `secret` in them; prints their names,
// waits for a line, prints what is in them now, and removes them.
static int keeper(int argc, char **argv) {
    (void)argc;
    struct {
        long type;
        char text[64];
    } message = {.type = 1};
    key_t key = (key_t)number(argv[1]);
    const char *name = argv[2];
    snprintf(message.text, sizeof message.text, "%s", argv[3]);
    int shm = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    int sem = semget(key, 1, IPC_CREAT | IPC_EXCL | 0666);
    int msg = msgget(key, IPC_CREAT | IPC_EXCL | 0666);
    if (shm < 0 || sem < 0 || msg < 0) return perror("keeper: sysv"), 1;
    char *text = shmat(shm, NULL, 0);
    strcpy(text, message.text);
    semctl(sem, 0, SETVAL, 1);
    for (int i = 0; i < 8; i++) msgsnd(msg, &message, strlen(message.text) + 1, 0);
    struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};
    mqd_t queue = mq_open(name, O_CREAT | O_RDWR, 0666, &attributes);
    int posix = shm_open(name, O_CREAT | O_RDWR, 0666);
    if (queue < 0 || posix < 0) return perror("keeper: posix"), 1;
    for (int i = 0; i < 8; i++) mq_send(queue, message.text, strlen(message.text) + 1, 0);
    if (write(posix, message.text, strlen(message.text)) < 0) return 1;
    printf("%d\n", shm);
    fflush(stdout);
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        struct msqid_ds state;
        struct mq_attr now;
        msgctl(msg, IPC_STAT, &state);
        mq_getattr(queue, &now);
        printf("%s %d %lu %ld\n", text, semctl(sem, 0, GETVAL), (unsigned long)state.msg_qnum, now.mq_curmsgs);
        fflush(stdout);
    }
    shmctl(shm, IPC_RMID, NULL);
    semctl(sem, 0, IPC_RMID);
    msgctl(msg, IPC_RMID, NULL);
    mq_unlink(name);
    shm_unlink(name);
    return 0;
}

// `on-terminal SLAVE program words…`: a session of its own with that terminal, then the program.
static int on_terminal(int argc, char **argv) {
    (void)argc;
    setsid();
    int fd = open(argv[1], O_RDWR);
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0) return perror("on-terminal"), 1;
    for (int i = 0; i < 3; i++) dup2(fd, i);
    if (fd > 2) close(fd);
    execv(argv[2], argv + 2);
    return perror("on-terminal"), 1;
}

// A supervisor of a job, as a shell is: runs the program in a foreground group of its own on the terminal, prints
// `[stopped]` or `[exit N]` or `[signal N]` for each change of its state, and continues it on the line `fg`.
static int job(int argc, char **argv) {
    (void)argc;
    setsid();
    int fd = open(argv[1], O_RDWR);
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0) return perror("job"), 1;
    for (int i = 0; i < 3; i++) dup2(fd, i);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        signal(SIGTTIN, SIG_DFL);
        signal(SIGTSTP, SIG_DFL);
        execv(argv[2], argv + 2);
        _exit(127);
    }
    setpgid(pid, pid);
    for (;;) {
        int status;
        char line[64];
        if (waitpid(pid, &status, WUNTRACED) < 0) return 1;
        tcsetpgrp(0, getpgrp());
        if (WIFSTOPPED(status)) {
            dprintf(1, "[stopped]\n");
            ssize_t n = read(0, line, sizeof line);
            if (n <= 0) return 1;
            tcsetpgrp(0, pid);
            kill(-pid, SIGCONT);
        } else {
            char typed[256] = {0};
            struct termios mode;
            int waiting = 0;
            if (WIFEXITED(status)) dprintf(1, "[exit %d]\n", WEXITSTATUS(status));
            else dprintf(1, "[signal %d]\n", WTERMSIG(status));
            // What the program left in the input: a shell would now read it as a command.
            tcgetattr(0, &mode);
            dprintf(1, "[mode%s%s%s]\n", mode.c_lflag & ICANON ? " icanon" : "", mode.c_lflag & ECHO ? " echo" : "", mode.c_lflag & ISIG ? " isig" : "");
            mode.c_lflag &= ~(tcflag_t)ICANON;
            tcsetattr(0, TCSANOW, &mode);
            if (ioctl(0, FIONREAD, &waiting) == 0 && waiting > 0 && read(0, typed, sizeof typed - 1) > 0) dprintf(1, "[typed %s]\n", typed);
            dprintf(1, "[done]\n");
            return 0;
        }
    }
}

// Waits for ever: what a set-user-ID copy of this program does, so that its ids can be looked at from outside.
static int hold(int argc, char **argv) {
    (void)argc;
    (void)argv;
    while (1) pause();
    return 0;
}

// `without-bpf program words…`: the program on a host that refuses bpf(2) to everybody, as the seccomp profiles of container
// runtimes do.
static int without_bpf(int argc, char **argv) {
    (void)argc;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bpf, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) return perror("without-bpf"), 1;
    execvp(argv[1], argv + 1);
    return perror(argv[1]), 127;
}

int tool_main(int argc, char **argv) {
    static const struct {
        const char *name;
        int words;
        int (*run)(int, char **);
    } tools[] = {{"victim", 2, victim}, {"keeper", 3, keeper}, {"on-terminal", 2, on_terminal}, {"job", 2, job}, {"hold", 0, hold}, {"world", 1, world}, {"without-bpf", 1, without_bpf}};
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (strcmp(tools[i].name, argv[0]) == 0 && argc - 1 >= tools[i].words) return tools[i].run(argc, argv);
    fprintf(stderr, "attack: no act or tool `%s`\n", argv[0]);
    return 64;
}
