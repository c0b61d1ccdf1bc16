// The kernel's own surface: calls that a program in a sandbox has no business with, and odd ways of making any call.
// Arguments are chosen so that, where nothing refuses the call, the kernel changes nothing, sets what is set already, or
// answers with an error of another kind (EINVAL, ENOEXEC): the same line is the positive control outside, and an attempt
// that gets through a broken sandbox does no harm.
#include "attack.h"
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/timex.h>
#include <time.h>

// Any system call by number, with up to six words as numbers.
static long any(int argc, char **argv) {
    unsigned long a[7] = {0};
    for (int i = 0; i < argc && i < 7; i++) a[i] = number(argv[i]);
    return syscall((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
}

// The 32-bit entry: other numbers, and a filter that forgets the architecture reads them as native ones.
static long int80(int argc, char **argv) {
    (void)argc;
#if defined(__x86_64__)
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number(argv[0])), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
#else
    (void)argv;
    errno = ENOSYS;
    return -1;
#endif
}

// The x32 entry: the native number with bit 30.
static long x32(int argc, char **argv) {
    (void)argc;
    return syscall((long)(0x40000000UL | number(argv[0])), 0, 0, 0, 0, 0, 0);
}

static long add_key_user(int argc, char **argv) {
    (void)argc;
    long key = syscall(SYS_add_key, "user", argv[0], "secret", 6UL, KEY_SPEC_USER_KEYRING);
    if (key >= 0) syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 30UL, 0UL, 0UL);
    return key;
}

static long search_key(int argc, char **argv) {
    (void)argc;
    char value[64];
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", argv[0], 0);
    if (key < 0) return -1;
    long n = syscall(SYS_keyctl, KEYCTL_READ, key, value, sizeof value, 0);
    if (n > 0) leak(value, (size_t)n);
    return n;
}

static long request_key_user(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_request_key, "user", argv[0], NULL, KEY_SPEC_PROCESS_KEYRING);
}

static long join_session(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "attack", 0, 0, 0);
}

static long bpf_map(int argc, char **argv) {
    (void)argc;
    (void)argv;
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

static long perf(int argc, char **argv) {
    (void)argc;
    (void)argv;
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof attributes, .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1, .exclude_hv = 1};
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0UL);
}

static long user_fault(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
}

static long set_personality(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_personality, number(argv[0]));
}

static long set_clock(int argc, char **argv) {
    (void)argc;
    (void)argv;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return syscall(SYS_clock_settime, CLOCK_REALTIME, &now);
}

static long set_day(int argc, char **argv) {
    (void)argc;
    (void)argv;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long old[2] = {now.tv_sec, now.tv_nsec / 1000};
    return syscall(SYS_settimeofday, old, NULL);
}

static long adjust_clock(int argc, char **argv) {
    (void)argc;
    (void)argv;
    struct timex same = {0};
    adjtimex(&same);
    same.modes = ADJ_STATUS;
    return syscall(SYS_adjtimex, &same);
}

static long adjust_clock_other(int argc, char **argv) {
    (void)argc;
    (void)argv;
    struct timex same = {0};
    syscall(SYS_clock_adjtime, CLOCK_REALTIME, &same);
    same.modes = ADJ_STATUS;
    return syscall(SYS_clock_adjtime, CLOCK_REALTIME, &same);
}

static long ctrl_alt_del(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
                   strcmp(argv[0], "on") == 0 ? LINUX_REBOOT_CMD_CAD_ON : LINUX_REBOOT_CMD_CAD_OFF, NULL);
}

static long host_name(int argc, char **argv) {
    (void)argc;
    (void)argv;
    char same[65];
    gethostname(same, sizeof same);
    return sethostname(same, strlen(same));
}

static long domain_name(int argc, char **argv) {
    (void)argc;
    (void)argv;
    char same[65];
    if (getdomainname(same, sizeof same) < 0) return -1;
    return setdomainname(same, strlen(same));
}

static long load_module(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return syscall(SYS_init_module, "not a module", 12UL, "");
}

static long load_module_file(int argc, char **argv) {
    (void)argc;
    int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : syscall(SYS_finit_module, fd, "", 0);
}

static long remove_module(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return syscall(SYS_delete_module, "agentrc_no_such_module", O_NONBLOCK);
}

static long read_kernel_log(int argc, char **argv) {
    (void)argc;
    (void)argv;
    char text[4096];
    long n = syscall(SYS_syslog, 3 /* read all */, text, sizeof text);
    if (n > 0) leak(text, (size_t)n);
    return n;
}

static long secret_memory(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return syscall(447, 0);
}

static long notify_all(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return syscall(SYS_fanotify_init, 0U, O_RDONLY);
}

static long ring(int argc, char **argv) {
    (void)argc;
    (void)argv;
    unsigned char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters);
}

const struct act kernel_acts[] = {
    {"syscall", 1, any, "NUMBER words…"},
    {"int80", 1, int80, "NUMBER"},
    {"x32", 1, x32, "NUMBER"},
    {"add-key", 1, add_key_user, "NAME"},
    {"search-key", 1, search_key, "NAME"},
    {"request-key", 1, request_key_user, "NAME"},
    {"join-session-keyring", 0, join_session, ""},
    {"bpf", 0, bpf_map, ""},
    {"perf-event-open", 0, perf, ""},
    {"userfaultfd", 0, user_fault, ""},
    {"personality", 1, set_personality, "NUMBER"},
    {"clock-settime", 0, set_clock, ""},
    {"settimeofday", 0, set_day, ""},
    {"adjtimex", 0, adjust_clock, ""},
    {"clock-adjtime", 0, adjust_clock_other, ""},
    {"reboot-cad", 1, ctrl_alt_del, "on|off"},
    {"sethostname", 0, host_name, ""},
    {"setdomainname", 0, domain_name, ""},
    {"init-module", 0, load_module, ""},
    {"finit-module", 1, load_module_file, "PATH"},
    {"delete-module", 0, remove_module, ""},
    {"syslog", 0, read_kernel_log, ""},
    {"memfd-secret", 0, secret_memory, ""},
    {"fanotify", 0, notify_all, ""},
    {"io-uring", 0, ring, ""},
    {0},
};
