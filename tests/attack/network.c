// Getting a byte out: every family and type of socket, and the ways round them.
#include "attack.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static socklen_t internet(struct sockaddr_storage *to, const char *host, const char *port) {
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)number(port));
        return sizeof *four;
    }
    inet_pton(AF_INET6, host, &six->sin6_addr);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)number(port));
    return sizeof *six;
}

static long connect_with(const char *host, const char *port, int type, int protocol) {
    struct sockaddr_storage to;
    socklen_t length = internet(&to, host, port);
    int fd = socket(to.ss_family, type | SOCK_CLOEXEC, protocol);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, length) < 0) return -1;
    return send(fd, "attack\n", 7, MSG_NOSIGNAL);
}

static long tcp(int argc, char **argv) {
    (void)argc;
    return connect_with(argv[0], argv[1], SOCK_STREAM, 0);
}

static long udp_connected(int argc, char **argv) {
    (void)argc;
    return connect_with(argv[0], argv[1], SOCK_DGRAM, 0);
}

static long mptcp(int argc, char **argv) {
    (void)argc;
    return connect_with(argv[0], argv[1], SOCK_STREAM, 262);
}

static long sctp(int argc, char **argv) {
    (void)argc;
    return connect_with(argv[0], argv[1], SOCK_STREAM, 132);
}

static long udp(int argc, char **argv) {
    (void)argc;
    struct sockaddr_storage to;
    socklen_t length = internet(&to, argv[0], argv[1]);
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : sendto(fd, "attack\n", 7, 0, (struct sockaddr *)&to, length);
}

static long udp_messages(int argc, char **argv) {
    (void)argc;
    struct sockaddr_storage to;
    socklen_t length = internet(&to, argv[0], argv[1]);
    struct iovec text = {"attack\n", 7};
    struct mmsghdr messages[1] = {{.msg_hdr = {.msg_name = &to, .msg_namelen = length, .msg_iov = &text, .msg_iovlen = 1}}};
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : sendmmsg(fd, messages, 1, 0);
}

static long fast_open(int argc, char **argv) {
    (void)argc;
    struct sockaddr_storage to;
    socklen_t length = internet(&to, argv[0], argv[1]);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : sendto(fd, "attack\n", 7, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, length);
}

static long make_socket(int argc, char **argv) {
    (void)argc;
    return socket((int)number(argv[0]), (int)number(argv[1]), (int)number(argv[2]));
}

// The kernel takes the family as an int: a filter that compares 64 bits sees another number.
static long make_socket_high(int argc, char **argv) {
    (void)argc;
    return syscall(SYS_socket, number(argv[0]) | 1UL << 32, number(argv[1]), number(argv[2]));
}

static long make_pair(int argc, char **argv) {
    (void)argc;
    int ends[2];
    return socketpair((int)number(argv[0]), (int)number(argv[1]), (int)number(argv[2]), ends) < 0 ? -1 : ends[0];
}

// Brings the loopback interface up: the first step of a network of one's own.
static long link_up(int argc, char **argv) {
    (void)argc;
    (void)argv;
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {.header = {sizeof request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0},
                 .link = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}};
    char reply[4096];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || send(fd, &request, sizeof request, 0) < 0) return -1;
    if (recv(fd, reply, sizeof reply, 0) < (ssize_t)sizeof(struct nlmsghdr)) return -1;
    int error = ((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)reply))->error;
    if (error) {
        errno = -error;
        return -1;
    }
    return 0;
}

static long listen_any(int argc, char **argv) {
    (void)argc;
    struct sockaddr_storage to;
    socklen_t length = internet(&to, argv[0], argv[1]);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, length) < 0) return -1;
    return listen(fd, 1);
}

const struct act network_acts[] = {
    {"tcp", 2, tcp, "HOST PORT"},
    {"udp", 2, udp, "HOST PORT"},
    {"udp-connected", 2, udp_connected, "HOST PORT"},
    {"udp-sendmmsg", 2, udp_messages, "HOST PORT"},
    {"mptcp", 2, mptcp, "HOST PORT"},
    {"sctp", 2, sctp, "HOST PORT"},
    {"tcp-fastopen", 2, fast_open, "HOST PORT"},
    {"socket", 3, make_socket, "FAMILY TYPE PROTOCOL"},
    {"socket-high-bits", 3, make_socket_high, "FAMILY TYPE PROTOCOL"},
    {"socketpair", 3, make_pair, "FAMILY TYPE PROTOCOL"},
    {"netlink-link-up", 0, link_up, ""},
    {"listen", 2, listen_any, "HOST PORT"},
    {0},
};
