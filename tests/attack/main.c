// `attack ACT words…`: one attempt, exit status 0 when the kernel allowed it.
// `attack serve`: one act per line of standard input; for each, a child makes the attempt, reports, and stays there,
// with all it gained, until the line `.` releases it. Words are separated by spaces; `%XX` stands for a byte.
#include "attack.h"
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int tool_main(int argc, char **argv);

static const struct act *const tables[] = {file_acts,   change_acts, mount_acts,   privilege_acts, process_acts,
                                           kernel_acts, ipc_acts,    network_acts, terminal_acts,  bomb_acts};

static const struct act *find(const char *name) {
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct act *a = tables[t]; a->name; a++)
            if (strcmp(a->name, name) == 0) return a;
    return NULL;
}

void leak(const void *data, size_t size) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char line[2 * 4096 + 4];
    if (size > 4096) size = 4096;
    size_t n = 0;
    line[n++] = '<';
    line[n++] = ' ';
    for (size_t i = 0; i < size; i++) {
        line[n++] = digits[bytes[i] >> 4];
        line[n++] = digits[bytes[i] & 15];
    }
    line[n++] = '\n';
    if (write(1, line, n) < 0) _exit(3);
}

long leak_fd(int fd) {
    char buffer[4096];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) leak(buffer, (size_t)n);
    return n;
}

static pid_t attempting;

void stay(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // On a slow machine the attempt may be over already. 0: it is outside of a pid namespace that this child is in.
    pid_t parent = getppid();
    if (parent != attempting && parent != 0) _exit(0);
    for (;;) pause();
}

unsigned long number(const char *word) { return strtoul(word, NULL, 0); }

static int nibble(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

size_t unhex(const char *word, unsigned char *into, size_t size) {
    size_t n = 0;
    for (; word[0] && word[1] && n < size; word += 2) into[n++] = (unsigned char)(nibble(word[0]) << 4 | nibble(word[1]));
    return n;
}

static void unescape(char *word) {
    char *to = word;
    for (; *word; word++)
        if (*word == '%' && nibble(word[1]) >= 0 && nibble(word[2]) >= 0) {
            *to++ = (char)(nibble(word[1]) << 4 | nibble(word[2]));
            word += 2;
        } else
            *to++ = *word;
    *to = 0;
}

static const char *error_name(int error) {
    static char unknown[32];
    const char *name = strerrorname_np(error);
    if (name) return name;
    snprintf(unknown, sizeof unknown, "E%d", error);
    return unknown;
}

struct report {
    long value;
    int error;
};

static long attempt_act(int argc, char **argv) {
    const struct act *act = find(argv[0]);
    if (!act || argc - 1 < act->words) {
        fprintf(stderr, "attack: no act `%s` with %d words; usage: %s %s\n", argv[0], argc - 1, argv[0],
                act ? act->usage : "?");
        _exit(64);
    }
    errno = 0;
    return act->run(argc - 1, argv + 1);
}

static void child(int argc, char **argv, int out) {
    attempting = getpid();
    struct report report = {attempt_act(argc, argv), errno};
    if (write(out, &report, sizeof report) != sizeof report) _exit(3);
    close(out);
    for (;;) pause();
}

// Runs one line; on return `*held` is the child that holds what it gained, or 0.
// Whether a process is on its way out: PF_EXITING among its flags, field 9 of its stat (proc_pid_stat(5)).
static int exits(pid_t pid) {
    char path[64], text[1024];
    unsigned flags = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    char *rest = strrchr(text, ')');
    return rest && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & 4);
}

static void serve_line(char *line, pid_t *held) {
    char *argv[32];
    int argc = 0;
    for (char *word = strtok(line, " \n"); word && argc < 31; word = strtok(NULL, " \n")) {
        unescape(word);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    if (!argc) return;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        printf("= %s errno %s 0\n", argv[0], error_name(errno));
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(argc, argv, ends[1]);
    }
    int fork_error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        printf("= %s errno %s 0\n", argv[0], error_name(fork_error));
        return;
    }
    struct pollfd wait_for = {ends[0], POLLIN, 0};
    struct report report;
    int ready = poll(&wait_for, 1, 10000);
    ssize_t got = ready == 1 ? read(ends[0], &report, sizeof report) : -1;
    close(ends[0]);
    int status = 0;
    *held = pid;
    if (ready != 1)
        printf("= %s timeout 0 %d\n", argv[0], pid);
    else if (got == (ssize_t)sizeof report && report.value < 0)
        printf("= %s errno %s %d\n", argv[0], error_name(report.error), pid);
    else if (got == (ssize_t)sizeof report)
        printf("= %s ok %ld %d\n", argv[0], report.value, pid);
    else {
        // No report: the child was killed, or became another program. Give the kernel a moment to say which.
        for (int i = 0; (i < 40 || (i < 5000 && exits(pid))) && waitpid(pid, &status, WNOHANG) == 0; i++) usleep(2000);
        if (WIFSIGNALED(status) && status) {
            printf("= %s signal %d %d\n", argv[0], WTERMSIG(status), pid);
            *held = 0;
        } else if (kill(pid, 0) < 0) {
            printf("= %s exited %d %d\n", argv[0], WEXITSTATUS(status), pid);
            *held = 0;
        } else
            printf("= %s became 0 %d\n", argv[0], pid);
    }
}

static int serve(void) {
    char line[8192];
    pid_t held = 0;
    setvbuf(stdout, NULL, _IOLBF, 8192);
    signal(SIGHUP, SIG_IGN);
    printf("ready %d\n", getpid());
    while (fgets(line, sizeof line, stdin)) {
        if (line[0] == '.') {
            if (held) {
                kill(held, SIGKILL);
                while (waitpid(held, NULL, 0) < 0 && errno == EINTR) {}
                held = 0;
            }
            printf(".\n");
        } else
            serve_line(line, &held);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return 64;
    if (strcmp(argv[1], "serve") == 0) return serve();
    if (strcmp(argv[1], "acts") == 0) {
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
            for (const struct act *a = tables[t]; a->name; a++) printf("%s %s\n", a->name, a->usage);
        return 0;
    }
    if (!find(argv[1])) return tool_main(argc - 1, argv + 1);
    attempting = getpid();
    long value = attempt_act(argc - 1, argv + 1);
    if (value < 0) fprintf(stderr, "attack: %s: %s\n", argv[1], error_name(errno));
    return value < 0;
}
