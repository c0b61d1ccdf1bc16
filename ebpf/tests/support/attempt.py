"""What a confined program tries: one act per argument, one line of answer each (`ok`, or the error's name).

An act is NAME:ADDRESS:PORT with `_` for the colons of IPv6. The process puts itself into the cgroup $CGROUP first, and,
with $NAMESPACE, into a network namespace of its own with a loopback device of that MTU."""
import ctypes, errno, fcntl, os, socket, struct, sys

libc = ctypes.CDLL(None, use_errno=True)


def enter():
    if mtu := os.environ.get("NAMESPACE"):
        if libc.unshare(0x40000000):  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "unshare")
        # Made before the process is in the cgroup: the filter has no say about these sockets.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, loopback, running
            fcntl.ioctl(control, 0x8922, struct.pack("16si12x", b"lo", int(mtu)))  # SIOCSIFMTU
        with open("/proc/sys/net/ipv4/ping_group_range", "w") as groups:
            groups.write("0 0")
    if cgroup := os.environ.get("CGROUP"):
        with open(cgroup + "/cgroup.procs", "w") as procs:
            procs.write(str(os.getpid()))


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(address, port):
    with socket.socket(family(address), socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect((address, port))


def fastopen(address, port):
    with socket.socket(family(address), socket.SOCK_STREAM) as s:
        s.sendto(b"x", socket.MSG_FASTOPEN, (address, port))


def udp(address, port):
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.sendto(b"x", (address, port))


def udpconnect(address, port):
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        s.connect((address, port))
        s.send(b"x")


def udp4on6(address, port):
    """An AF_INET address given to an AF_INET6 socket, which Python would not do."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        raw(libc.sendto, s, socket.AF_INET, address, port, data=b"x")


def connect4on6(address, port):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        raw(libc.connect, s, socket.AF_INET, address, port)


def unspecfamily(address, port):
    """sendto(2) takes AF_UNSPEC for AF_INET."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        raw(libc.sendto, s, socket.AF_UNSPEC, address, port, data=b"x")


def raw(call, s, family, address, port, data=None):
    name = struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8)
    before = (data, len(data), 0) if data else ()
    if call(s.fileno(), *before, name, len(name)) < 0:
        raise OSError(ctypes.get_errno(), "call")


def sendmmsg(address, port):
    """The first of two datagrams is allowed to fail the call; both must have been asked about."""
    class Header(ctypes.Structure):
        _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.c_void_p),
                    ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                    ("flags", ctypes.c_int), ("length", ctypes.c_uint)]
    name = ctypes.create_string_buffer(
        struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8), 16)
    data = ctypes.create_string_buffer(b"x", 1)
    iov = (ctypes.c_size_t * 2)(ctypes.addressof(data), 1)
    messages = (Header * 2)(*[Header(ctypes.addressof(name), 16, ctypes.addressof(iov), 1, None, 0, 0, 0)] * 2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if libc.sendmmsg(s.fileno(), messages, 2, 0) < 0:
            raise OSError(ctypes.get_errno(), "sendmmsg")


def reconnect(address, port):
    """A socket connected to $FIRST, where it may, and then elsewhere."""
    first, first_port = os.environ["FIRST"].rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((first, int(first_port)))
        s.connect((address, port))


def named(address, port):
    """A socket connected to $FIRST that sends to another address."""
    first, first_port = os.environ["FIRST"].rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((first, int(first_port)))
        s.sendto(b"x", (address, port))


def later(address, port):
    """A socket that is made now and used when a line comes in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        print("made", flush=True)
        sys.stdin.readline()
        s.sendto(b"x", (address, port))


def sourceroute(address, port):
    """By way of 127.0.0.9, to where the packet goes first; an option that needs no privilege."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([131, 7, 4]) + socket.inet_aton("127.0.0.9") + b"\0")
        s.sendto(b"x", (address, port))


def large(address, port):
    """A datagram that leaves in several fragments, and arrives."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as receiver, \
            socket.socket(family(address), socket.SOCK_DGRAM) as sender:
        receiver.bind((address, port))
        receiver.settimeout(2)
        sender.sendto(bytes(5000), (address, port))
        if len(receiver.recv(6000)) != 5000:
            raise OSError(errno.EIO, "short")


def pair(address, port):
    """A connection inside, and bytes in both directions."""
    with socket.create_server((address, port), family=family(address)) as server, \
            socket.create_connection((address, port), 20) as client:
        accepted, _ = server.accept()
        with accepted:
            for sender, receiver in (client, accepted), (accepted, client):
                sender.sendall(bytes(100000))
                left = 100000
                while left:
                    left -= len(receiver.recv(left))


def make(*kind):
    socket.socket(*kind).close()


MAKE = {
    "raw": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "raw6": (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP),
    "ping": (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    "ping6": (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6),
    "mptcp": (socket.AF_INET, socket.SOCK_STREAM, 262),
    "udplite": (socket.AF_INET, socket.SOCK_DGRAM, 136),
    "sctp": (socket.AF_INET, socket.SOCK_STREAM, 132),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM, 0),
}


def attempt(act):
    name, *rest = act.split(":")
    if name in MAKE:
        make(*MAKE[name])
    else:
        address, port = rest
        globals()[name](address.replace("_", ":"), int(port))


def bpf(command, attributes, write_back=False):
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    answer = libc.syscall(number, command, buffer, len(attributes))
    if answer < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return buffer.raw if write_back else answer


def exists(program):
    """Whether a BPF program of that id lives: BPF_PROG_GET_FD_BY_ID."""
    os.close(bpf(13, struct.pack("=III", int(program), 0, 0)))


def load(where, code):
    """BPF_PROG_LOAD of a program for socket addresses."""
    code = ctypes.create_string_buffer(bytes.fromhex(code), len(bytes.fromhex(code)))
    text = ctypes.create_string_buffer(b"none")
    return bpf(5, struct.pack("=IIQQIIQII16sII", 18, len(code) // 8, ctypes.addressof(code), ctypes.addressof(text),
                              0, 0, 0, 0, 0, b"foreign", 0, where))


def attach(cgroup, where, code):
    """Attaches a program beside what is there: BPF_PROG_ATTACH with BPF_F_ALLOW_MULTI."""
    bpf(8, struct.pack("=IIIII", os.open(cgroup, os.O_DIRECTORY), load(where, code), where, 2, 0))


def link_of(program):
    """The link that has this program, among all of the system: BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID."""
    last = 0
    while True:
        last = struct.unpack("=III", bpf(31, struct.pack("=III", last, 0, 0), True))[1]
        link = bpf(30, struct.pack("=III", last, 0, 0))
        info = ctypes.create_string_buffer(12)
        bpf(15, struct.pack("=IIQ", link, 12, ctypes.addressof(info)))
        if struct.unpack("=III", info.raw)[2] == int(program):
            return link


ALLOW = "b700000001000000 9500000000000000"  # r0 = 1; exit


def replace(program):
    """Puts another program into the link of this connect4: BPF_LINK_UPDATE."""
    bpf(29, struct.pack("=IIII", link_of(program), load(10, ALLOW), 0, 0))


def detach(program):
    """BPF_LINK_DETACH, as root can do it to any link."""
    bpf(34, struct.pack("=I", link_of(program)))


def foreign(cgroup):
    """A program that allows every connect4."""
    attach(cgroup, 10, ALLOW)


def rewriting(cgroup):
    """Two that send connect4 and sendmsg4 to 127.0.0.2 instead: r2 = 127.0.0.2; user_ip4 = r2."""
    for where in 10, 14:
        attach(cgroup, where, "b70200007f000002 6321040000000000" + ALLOW)


def tried(act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "ok"


if __name__ == "__main__":
    act, arguments = attempt, sys.argv[1:]
    if arguments[0] in ("exists", "foreign", "rewriting", "replace", "detach"):
        act, arguments = globals()[arguments[0]], arguments[1:]
    else:
        enter()
    for argument in arguments:
        print(tried(act, argument), flush=True)
