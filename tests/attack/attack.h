// The attacker of the behaviour tests: one program, one raw attempt per act. It is run inside a sandbox by
// `agentrc run`, and outside of it as the positive control. It never judges: it reports what the kernel answered, and
// holds whatever it gained (descriptors, namespaces, mounts) until it is released, so that the test can look at it
// from outside. An attempt that gets through must not harm the machine it runs on: what is changed is the test's own,
// signals are of a kind that is ignored by default, and what belongs to the system is opened, never written.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// An attempt: words of the command line after its name. Returns the kernel's value, or -1 with errno.
typedef long (*attempt)(int argc, char **argv);

struct act {
    const char *name;
    int words;         // least number of words after the name
    attempt run;
    const char *usage; // the words
};

// Each file's table ends with a null name.
extern const struct act file_acts[], change_acts[], mount_acts[], privilege_acts[], process_acts[], kernel_acts[],
    ipc_acts[], network_acts[], terminal_acts[], bomb_acts[];

// Carries what was read out of the sandbox: one line, `< HEX`.
void leak(const void *data, size_t size);
// Reads a descriptor once and leaks it. Returns the bytes read, or -1.
long leak_fd(int fd);
// What a child of an attempt does: it is there until the attempt is released.
void stay(void) __attribute__((noreturn));
// Number in C notation.
unsigned long number(const char *word);
// Bytes of a hexadecimal word; returns how many.
size_t unhex(const char *word, unsigned char *into, size_t size);
// A machine of the tests' own (world.c).
int world(int argc, char **argv);
