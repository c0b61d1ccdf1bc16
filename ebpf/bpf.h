/* The part of the kernel's BPF interface that egress.bpf.c uses, so that it builds without kernel headers or libbpf.
 * Numbers and layouts are user-space ABI: include/uapi/linux/bpf.h. Contexts are cut after the last field that is read. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static __attribute__((always_inline)) inline
#define BE16(x) __builtin_bswap16(x)
#define BE32(x) __builtin_bswap32(x)

/* A map, as the loader finds it in the section `maps`: five words, no BTF. */
struct map {
	u32 type, key_size, value_size, entries, flags;
};
enum { MAP_ARRAY = 2, MAP_LPM_TRIE = 11, MAP_RING_BUFFER = 27 };
enum { MAP_NO_PREALLOC = 1, MAP_READ_ONLY_FOR_PROGRAMS = 128 };
enum { RING_NO_WAKEUP = 1, RING_FORCE_WAKEUP = 2, RING_UNREAD_BYTES = 0 };

/* cgroup/sock_create */
struct bpf_sock {
	u32 bound_dev_if, family, type, protocol;
};
/* cgroup/connect*, cgroup/sendmsg*: addresses and port in network order */
struct bpf_sock_addr {
	u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol;
};
/* cgroup_skb: offset 0 of the data is the network header */
struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol;
};

/* Helpers by number; all of them are in 5.8, none is for GPL programs only. */
static void *(*bpf_map_lookup_elem)(const void *map, const void *key) = (void *)1;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_get_current_comm)(void *buffer, u32 size) = (void *)16;
static long (*bpf_skb_load_bytes)(const void *skb, u32 offset, void *to, u32 size) = (void *)26;
static u64 (*bpf_get_netns_cookie)(void *context) = (void *)122;
static void *(*bpf_ringbuf_reserve)(const void *ring, u64 size, u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *record, u64 flags) = (void *)132;
static u64 (*bpf_ringbuf_query)(const void *ring, u64 what) = (void *)134;
