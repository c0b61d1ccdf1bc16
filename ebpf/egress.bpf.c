/* The egress filter: what may leave the cgroup that it is attached to.
 *
 * One set of these programs and maps per run, attached to the run's own cgroup alone. A connect(2), or a datagram with
 * an address, passes when its (protocol, port, address) is on the list `allowed`; everything else is EPERM.
 * Every denial is put into the ring buffer `events`, and, when `settings` asks for it, every permission. What cannot be
 * recorded is denied: the record is reserved before the verdict is given. Every arm that is not an explicit permission denies.
 *
 * Built by `ebpf/build`; the layouts are read again in ebpf/src/event.rs, rule.rs and filter.rs. */
#include "bpf.h"

enum { PASS = 1, DROP = 0 };
enum { TCP = 6, UDP = 17 };
enum { STREAM = 1, DATAGRAM = 2 };
enum hook { CONNECT4, CONNECT6, SENDMSG4, SENDMSG6, SOCK_CREATE, EGRESS, HOOKS };
enum verdict {
	ALLOWED,
	NOT_LISTED,
	UNSPECIFIED, /* 0.0.0.0 or ::, for which the kernel chooses the address after these programs */
	KIND,        /* neither TCP nor UDP, or a packet that says otherwise than its socket where it goes */
	ELSEWHERE,   /* a socket of another network namespace than the run's */
};

/* IPv4 is ::ffff:a.b.c.d everywhere, as an IPv6 socket may write it. All in network order but the protocol. */
struct address {
	u32 word[4];
};
#define IPV4_MARK BE32(0xffff)

/* A destination; of those that match, the trie finds the longest prefix. Port 0 is "any port". The protocol is whole,
 * because MPTCP is 262, of which one byte is TCP. */
struct key {
	u32 prefix; /* bits of what follows */
	u16 protocol, port;
	struct address address;
};
#define ALL_BITS 160

struct settings {
	u64 namespace, namespace_mask; /* cookie of the network namespace that sockets must be of, and ~0; or twice 0 */
	u64 report_allowed;
};

struct event {
	u64 time; /* CLOCK_MONOTONIC, ns */
	u32 thread, process;
	struct address address;
	u16 protocol, port; /* IPPROTO_*, as the socket has it */
	u8 hook, verdict, kind, unused; /* kind: SOCK_* in sock_create */
	u32 rule;                       /* which line of the list allowed it */
	u32 unused_word;
	char comm[16];
};

/* Cache lines of their own; more than one processor may share a slot, therefore atomic additions. */
struct counters {
	u64 allowed[HOOKS], denied[HOOKS], lost, bytes_out, bytes_in, unused;
};
#define SLOTS 32
#define RING_BYTES (256 * 1024)

/* A rule's value is its place in the list that the loader was given. */
struct map allowed SECTION("maps") = { MAP_LPM_TRIE, sizeof(struct key), sizeof(u32), 4096,
				       MAP_NO_PREALLOC | MAP_READ_ONLY_FOR_PROGRAMS };
struct map settings SECTION("maps") = { MAP_ARRAY, sizeof(u32), sizeof(struct settings), 1, MAP_READ_ONLY_FOR_PROGRAMS };
struct map events SECTION("maps") = { MAP_RING_BUFFER, 0, 0, RING_BYTES, 0 };
struct map counters SECTION("maps") = { MAP_ARRAY, sizeof(u32), sizeof(struct counters), SLOTS, 0 };

struct destination {
	struct address address;
	u16 protocol, port;
	u8 kind;
};

INLINE struct settings *configured(void)
{
	u32 only = 0;
	return bpf_map_lookup_elem(&settings, &only);
}

INLINE struct counters *counted(void)
{
	u32 slot = bpf_get_smp_processor_id() % SLOTS;
	return bpf_map_lookup_elem(&counters, &slot);
}

INLINE void add(u64 *counter, u64 amount) { __sync_fetch_and_add(counter, amount); }

/* The list's verdict. */
INLINE u32 listed(const struct destination *to, u32 *rule)
{
	const u32 *word = to->address.word;
	if (!(word[0] | word[1] | (word[2] & ~IPV4_MARK) | word[3]))
		return UNSPECIFIED;
	struct key key = { .prefix = ALL_BITS, .protocol = to->protocol, .port = to->port, .address = to->address };
	u32 *found = bpf_map_lookup_elem(&allowed, &key);
	if (!found) {
		key.port = 0;
		found = bpf_map_lookup_elem(&allowed, &key);
	}
	if (!found)
		return NOT_LISTED;
	*rule = *found;
	return ALLOWED;
}

/* Counts, records, and gives the verdict to the kernel. `task`: the current task is the one that asks. */
INLINE int answer(const struct destination *to, u32 hook, u32 verdict, u32 rule, int report, int task)
{
	struct counters *count = counted();
	if (!count)
		return DROP;
	if (verdict != ALLOWED || report) {
		struct event *event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
		if (!event) {
			add(&count->lost, 1);
			add(&count->denied[hook], 1);
			return DROP;
		}
		event->time = bpf_ktime_get_ns();
		event->thread = event->process = 0;
		event->address = to->address;
		event->protocol = to->protocol;
		event->port = to->port;
		event->hook = hook;
		event->verdict = verdict;
		event->kind = to->kind;
		event->rule = rule;
		event->unused = 0;
		event->unused_word = 0;
		__builtin_memset(event->comm, 0, sizeof event->comm);
		if (task) {
			u64 ids = bpf_get_current_pid_tgid();
			event->thread = ids;
			event->process = ids >> 32;
			bpf_get_current_comm(event->comm, sizeof event->comm);
		}
		/* A wake-up costs as much as a connect: for permissions only when the reader falls behind. */
		u64 urgent = verdict | bpf_ringbuf_query(&events, RING_UNREAD_BYTES) / (RING_BYTES / 4);
		bpf_ringbuf_submit(event, urgent ? RING_FORCE_WAKEUP : RING_NO_WAKEUP);
	}
	if (verdict != ALLOWED) {
		add(&count->denied[hook], 1);
		return DROP;
	}
	add(&count->allowed[hook], 1);
	return PASS;
}

INLINE int decide(struct bpf_sock_addr *context, const struct destination *to, u32 hook)
{
	struct settings *set = configured();
	if (!set)
		return DROP;
	u32 rule = -1, verdict = ELSEWHERE;
	if (!((bpf_get_netns_cookie(context) ^ set->namespace) & set->namespace_mask))
		verdict = listed(to, &rule);
	return answer(to, hook, verdict, rule, set->report_allowed, 1);
}

/* The family is the hook's, never the caller's: sendto(2) also takes AF_UNSPEC for IPv4. */
INLINE int decide4(struct bpf_sock_addr *context, u32 hook)
{
	struct destination to = {
		.address = { { 0, 0, IPV4_MARK, context->user_ip4 } },
		.protocol = context->protocol,
		.port = context->user_port,
	};
	return decide(context, &to, hook);
}

INLINE int decide6(struct bpf_sock_addr *context, u32 hook)
{
	const u32 *word = context->user_ip6;
	struct destination to = {
		.address = { { word[0], word[1], word[2], word[3] } },
		.protocol = context->protocol,
		.port = context->user_port,
	};
	return decide(context, &to, hook);
}

SECTION("cgroup/connect4") int connect4(struct bpf_sock_addr *context) { return decide4(context, CONNECT4); }
SECTION("cgroup/connect6") int connect6(struct bpf_sock_addr *context) { return decide6(context, CONNECT6); }
SECTION("cgroup/sendmsg4") int sendmsg4(struct bpf_sock_addr *context) { return decide4(context, SENDMSG4); }
SECTION("cgroup/sendmsg6") int sendmsg6(struct bpf_sock_addr *context) { return decide6(context, SENDMSG6); }

/* Runs at the end of inet_create(): the protocol is what the socket will speak, no longer the 0 that was asked for.
 * AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK do not come here. */
SECTION("cgroup/sock_create") int sock_create(struct bpf_sock *socket)
{
	struct settings *set = configured();
	if (!set)
		return DROP;
	u32 kind = socket->type, protocol = socket->protocol, verdict = KIND;
	struct destination none = { .protocol = protocol, .kind = kind };
	if ((kind == STREAM && protocol == TCP) || (kind == DATAGRAM && protocol == UDP))
		verdict = ALLOWED;
	if ((bpf_get_netns_cookie(socket) ^ set->namespace) & set->namespace_mask)
		verdict = ELSEWHERE;
	return answer(&none, SOCK_CREATE, verdict, -1, 0, 1);
}

struct ipv4_header {
	u8 version_and_length, service;
	u16 length, id, fragment;
	u8 hops, protocol;
	u16 sum;
	u32 source, destination;
};
struct ipv6_header {
	u32 version_and_flow;
	u16 length;
	u8 protocol, hops;
	struct address source, destination;
};
struct tcp_header {
	u16 source, destination;
	u32 sequence, acknowledged;
	u8 offset, flags;
};
enum { TCP_SYN = 2, TCP_ACK = 16 };

/* Where a packet goes; 0 when it cannot be told. Headers with options are refused: a source route (IP_OPTIONS and
 * IPV6_RTHDR need no privilege) sends the packet to an address that connect(2) did not name. Neighbour discovery, resets
 * and ICMP errors are the kernel's own sockets', which are in no run's cgroup. Fragments are made after this hook. */
INLINE int parse(struct __sk_buff *packet, struct destination *to, int *opens)
{
	u32 after;
	if (packet->protocol == BE16(0x0800)) {
		struct ipv4_header ip = {};
		if (bpf_skb_load_bytes(packet, 0, &ip, sizeof ip))
			return 0;
		to->protocol = ip.protocol;
		to->address.word[2] = IPV4_MARK;
		to->address.word[3] = ip.destination;
		if (ip.version_and_length != 0x45 || (ip.fragment & BE16(0x3fff)))
			return 0;
		after = sizeof ip;
	} else if (packet->protocol == BE16(0x86dd)) {
		struct ipv6_header ip = {};
		if (bpf_skb_load_bytes(packet, 0, &ip, sizeof ip))
			return 0;
		to->protocol = ip.protocol;
		to->address = ip.destination;
		after = sizeof ip;
	} else {
		return 0;
	}
	struct tcp_header tcp = {};
	if (to->protocol == TCP) {
		if (bpf_skb_load_bytes(packet, after, &tcp, sizeof tcp))
			return 0;
		*opens = (tcp.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	} else if (to->protocol == UDP) {
		if (bpf_skb_load_bytes(packet, after, &tcp, 4))
			return 0;
		*opens = 1;
	} else {
		return 0;
	}
	to->port = tcp.destination;
	return 1;
}

/* The backstop, and the bytes. The packet itself is looked up again: each datagram, and each segment that opens a TCP
 * connection. Other segments belong to a connection that passed, or that came in. A drop here is EPERM to a datagram's
 * sender, and a time-out to a TCP client. The current task need not be the sender. */
SECTION("cgroup_skb/egress") int egress(struct __sk_buff *packet)
{
	struct destination to = {};
	int opens = 1;
	u32 rule = -1, verdict = KIND;
	if (parse(packet, &to, &opens))
		verdict = opens ? listed(&to, &rule) : ALLOWED;
	struct counters *count = counted();
	if (!count || answer(&to, EGRESS, verdict, rule, 0, 0) != PASS)
		return DROP;
	add(&count->bytes_out, packet->len);
	return PASS;
}

/* Counts only: what may come in is the network namespace's matter. */
SECTION("cgroup_skb/ingress") int ingress(struct __sk_buff *packet)
{
	struct counters *count = counted();
	if (!count)
		return DROP;
	add(&count->bytes_in, packet->len);
	return PASS;
}

char LICENSE[] SECTION("license") = "Apache-2.0";
