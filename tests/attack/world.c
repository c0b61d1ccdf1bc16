// A machine of the tests' own: started in fresh network and mount namespaces, it brings `lo` up, gives it addresses that look
// like the internet's, puts files over some of the system's, opens the sockets that the test serves, and hands them over its
// standard input, a unix socket. It stays until that is closed, and the namespaces go with it.
#include "attack.h"
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static int fail(const char *what) {
    fprintf(stderr, "world: %s: %s\n", what, strerror(errno));
    return 3;
}

static int ask(int route, void *request, size_t size) {
    char reply[4096];
    if (send(route, request, size, 0) < 0) return -1;
    if (recv(route, reply, sizeof reply, 0) < (ssize_t)sizeof(struct nlmsghdr)) return -1;
    int error = ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)reply))->error;
    errno = -error;
    return error ? -1 : 0;
}

static int up(int route) {
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {.header = {sizeof request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
                 .link = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}};
    return ask(route, &request, sizeof request);
}

static int add(int route, const char *text) {
    struct {
        struct nlmsghdr header;
        struct ifaddrmsg address;
        char attributes[64];
    } request = {.header = {0, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 2, 0},
                 .address = {.ifa_flags = IFA_F_NODAD | IFA_F_PERMANENT, .ifa_index = 1}};
    unsigned char bytes[16];
    int six = strchr(text, ':') != NULL;
    size_t size = six ? 16 : 4;
    if (inet_pton(six ? AF_INET6 : AF_INET, text, bytes) != 1) {
        errno = EINVAL;
        return -1;
    }
    request.address.ifa_family = six ? AF_INET6 : AF_INET;
    request.address.ifa_prefixlen = (unsigned char)(size * 8);
    char *end = request.attributes;
    for (int kind = IFA_ADDRESS; kind <= IFA_LOCAL; kind++) {
        struct rtattr attribute = {(unsigned short)RTA_LENGTH(size), (unsigned short)kind};
        memcpy(end, &attribute, sizeof attribute);
        memcpy(end + RTA_LENGTH(0), bytes, size);
        end += RTA_SPACE(size);
    }
    request.header.nlmsg_len = (unsigned)(end - (char *)&request);
    return ask(route, &request, request.header.nlmsg_len);
}

// Of both families at once, on every address.
static int open_socket(int type, const char *port) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number(port)), .sin6_addr = in6addr_any};
    int off = 0, on = 1, fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 ||
        (type == SOCK_STREAM && listen(fd, 4096) < 0))
        return -1;
    return fd;
}

static int hand_over(int fd) {
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec one = {&byte, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    return sendmsg(0, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

// `world WORD…`: a word is `tcp:PORT`, `udp:PORT`, an address of `lo`, or `FILE=PATH`, a file that is put over another.
int world(int argc, char **argv) {
    int route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return fail("to die with the test");
    if (route < 0 || up(route) < 0) return fail("lo");
    for (int i = 1; i < argc; i++) {
        char *over = strchr(argv[i], '=');
        if (over) {
            *over++ = 0;
            if (mount(argv[i], over, NULL, MS_BIND, NULL) < 0) return fail(over);
            continue;
        }
        int type = strncmp(argv[i], "tcp:", 4) == 0 ? SOCK_STREAM : strncmp(argv[i], "udp:", 4) == 0 ? SOCK_DGRAM : 0;
        if (!type) {
            if (add(route, argv[i]) < 0) return fail(argv[i]);
            continue;
        }
        int fd = open_socket(type, argv[i] + 4);
        if (fd < 0 || hand_over(fd) < 0) return fail(argv[i]);
        close(fd);
    }
    char byte;
    return read(0, &byte, 1) == 0 ? 0 : fail("the test");
}
