# HTTP/2 frame by frame, as no library sends it: frames (RFC 9113, section 4.1), and fields without compression (RFC 7541,
# section 6.2.2). `PORT` and `SCHEME` are set before it.
import os, socket, ssl, struct, time
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload
def integer(number, bits):
    if number < (1 << bits) - 1: return bytes([number])
    out, number = [(1 << bits) - 1], number - ((1 << bits) - 1)
    while number >= 128: out.append(number % 128 + 128); number //= 128
    return bytes(out + [number])
def block(*fields):
    out = b""
    for name, value in fields:
        name, value = (one.encode("latin-1") if isinstance(one, str) else one for one in (name, value))
        out += b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value
    return out
def get(path="/v1/fine", authority="api.example.com", scheme=None, method="GET"):
    return [(":method", method), (":scheme", scheme or SCHEME), (":authority", authority), (":path", path)]
def start(name="api.example.com"):
    one = socket.create_connection((name, PORT))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if SCHEME == "https":
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2"])
        one = context.wrap_socket(one, server_hostname=name)
    one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
    return one
def frames(one, wait):
    held, end = b"", time.time() + wait
    while time.time() < end:
        while len(held) >= 9 and len(held) >= 9 + int.from_bytes(held[:3], "big"):
            size = 9 + int.from_bytes(held[:3], "big")
            yield held[3], held[4], struct.unpack(">I", held[5:9])[0], held[9:size]
            held = held[size:]
        one.settimeout(max(0.01, end - time.time()))
        try: some = one.recv(65536)
        except (TimeoutError, ssl.SSLError): continue
        except OSError: some = b""
        if not some:
            yield None, 0, 0, b""
            return
        held += some
# What came back on one stream: `answered`, `denied`, `reset`, `goaway`, `closed`, or `silent`.
def fate(one, stream=1, wait=20):
    body = b""
    for kind, flags, at, payload in frames(one, wait):
        if kind is None: return "closed"
        if kind == GOAWAY: return "goaway %d" % struct.unpack(">I", payload[4:8])
        if kind == RESET and at == stream: return "reset %d" % struct.unpack(">I", payload)
        if kind == DATA and at == stream: body += payload
        if kind in (DATA, HEADERS) and at == stream and flags & END_STREAM:
            return "denied" if body.startswith(b"agentrc:") else "answered"
    return "silent"
def ask(*fields, body=None, after=0):
    one = start()
    fields = [pair for some in fields for pair in (some if isinstance(some, list) else [some])]
    one.sendall(frame(HEADERS, END_HEADERS | (0 if body is not None else END_STREAM), 1, block(*fields)))
    time.sleep(after)
    if body is not None: one.sendall(frame(DATA, END_STREAM, 1, body))
    result = fate(one)
    one.close()
    return result
# What came back on each stream of several connections: its body so far, or that it was reset. Until `enough` says so, or none is open.
def gather(all, wait, enough):
    held, seen, end = [b""] * len(all), {}, time.time() + wait
    while time.time() < end and any(all) and not enough(seen):
        for number, one in enumerate(all):
            if one is None: continue
            one.settimeout(0.001)
            try: some = one.recv(65536)
            except (TimeoutError, ssl.SSLError): continue
            except OSError: some = b""
            if not some: all[number] = None
            held[number] += some
            while len(held[number]) >= 9 and len(held[number]) >= 9 + int.from_bytes(held[number][:3], "big"):
                size, kind = 9 + int.from_bytes(held[number][:3], "big"), held[number][3]
                key = number, struct.unpack(">I", held[number][5:9])[0]
                if kind == HEADERS: seen.setdefault(key, b"")
                if kind == DATA: seen[key] = seen.get(key, b"") + held[number][9:size]
                if kind == RESET: seen[key] = b"reset"
                held[number] = held[number][size:]
    return seen
