// Typing on the caller's terminal, or taking it.
#include "attack.h"
#include <linux/tiocl.h>
#include <sys/ioctl.h>
#include <termios.h>

static long push(int fd, const char *text, unsigned long high) {
    for (; *text; text++)
        if (syscall(SYS_ioctl, fd, (unsigned long)TIOCSTI | high, text) < 0) return -1;
    return 0;
}

static long push_input(int argc, char **argv) {
    (void)argc;
    return push((int)number(argv[0]), argv[1], 0);
}

// ioctl(2) takes its command as an unsigned int.
static long push_input_high(int argc, char **argv) {
    (void)argc;
    return push((int)number(argv[0]), argv[1], 1UL << 32);
}

static long push_input_path(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_RDWR | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? -1 : push(fd, argv[1], 0);
}

static long paste(int argc, char **argv) {
    (void)argc;
    char command[2] = {TIOCL_PASTESEL, 0};
    return ioctl((int)number(argv[0]), TIOCLINUX, command);
}

static long discipline(int argc, char **argv) {
    (void)argc;
    int kind = 2 /* N_MOUSE's neighbour: loads a module when allowed */;
    return ioctl((int)number(argv[0]), TIOCSETD, &kind);
}

static long console(int argc, char **argv) {
    (void)argc;
    return ioctl((int)number(argv[0]), TIOCCONS);
}

static long take_terminal(int argc, char **argv) {
    (void)argc;
    setsid();
    return ioctl((int)number(argv[0]), TIOCSCTTY, 1);
}

static long foreground(int argc, char **argv) {
    (void)argc;
    signal(SIGTTOU, SIG_IGN);
    pid_t group = (pid_t)number(argv[1]);
    return ioctl((int)number(argv[0]), TIOCSPGRP, &group);
}

const struct act terminal_acts[] = {
    {"tiocsti", 2, push_input, "FD TEXT"},
    {"tiocsti-high-bits", 2, push_input_high, "FD TEXT"},
    {"tiocsti-path", 2, push_input_path, "PATH TEXT"},
    {"tioclinux", 1, paste, "FD"},
    {"tiocsetd", 1, discipline, "FD"},
    {"tioccons", 1, console, "FD"},
    {"tiocsctty", 1, take_terminal, "FD"},
    {"tcsetpgrp", 2, foreground, "FD GROUP"},
    {0},
};
