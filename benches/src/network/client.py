"""The ordinary client: what a program that is written without a thought for speed does, by Python's own http.client.

    client.py URL ROOTS CONNECTIONS REQUESTS BULK [proxy]

Does and prints what `agentrc-bench client measure` does (client.rs): new connections, requests over one, BULK bytes from the
server and to it; a line each, of microseconds, or of seconds for bulk. Each new connection looks its name up, as
http.client does. Unlike the lean client it goes through the proxy that `http_proxy` or `https_proxy` names, as urllib does:
that is how some of the tools that agentrc is measured beside let a program out. `proxy` says that it must: a tool that sets
none must not pass for one that costs nothing. Where a connection is closed after its first request, or a second one is not
answered, the line of the requests over a kept one says so.
"""

import base64
import contextlib
import http.client
import os
import signal
import ssl
import sys
import time
import urllib.parse
import urllib.request

# Uncounted connections and requests before the counted ones.
WARM_UP = 10
# Seconds after which no more are counted: a proxy that sends small packets late takes 40 ms for each request.
LONG = 1
# What is read or written at a time, in bytes.
CHUNK = 64 << 10


class Server:
    """Where to, and by which way."""

    def __init__(self, url, roots):
        self.url = urllib.parse.urlsplit(url)
        # Below which all requests are.
        self.path = self.url.path.rstrip("/") + "/"
        self.context = None
        if self.url.scheme == "https":
            # ROOTS beside what the environment, or the system, trusts.
            self.context = ssl.create_default_context(cafile=roots)
            self.context.load_default_certs()
        proxy = urllib.request.getproxies().get(self.url.scheme)
        if not proxy or urllib.request.proxy_bypass(self.url.hostname):
            self.proxy = None
            return
        self.proxy = urllib.parse.urlsplit(proxy)
        self.credentials = {}
        if self.proxy.username is not None:
            words = urllib.parse.unquote(f"{self.proxy.username}:{self.proxy.password or ''}")
            self.credentials["Proxy-Authorization"] = "Basic " + base64.b64encode(words.encode()).decode()

    def connect(self):
        """An open connection, with its tunnel and its handshake. It does not come back by itself when it is closed."""
        to = self.proxy or self.url
        if self.context:
            connection = http.client.HTTPSConnection(to.hostname, to.port, context=self.context)
            if self.proxy:
                connection.set_tunnel(self.url.hostname, self.url.port, self.credentials)
        else:
            connection = http.client.HTTPConnection(to.hostname, to.port)
        connection.connect()
        connection.auto_open = 0
        return connection

    def ask(self, connection, method, target, body=None, length=None):
        """The answer to a request, which must be 200."""
        target = self.path + target
        headers = {} if length is None else {"Content-Length": str(length)}
        if self.proxy and not self.context:
            # The proxy is told where to (RFC 9112, section 3.2.2); 80 goes without saying.
            port = "" if self.url.port == 80 else f":{self.url.port}"
            target = f"http://{self.url.hostname}{port}{target}"
            headers.update(self.credentials)
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            sys.exit(f"the answer was {answer.status} {answer.reason}: {answer.read(200)!r}")
        return answer

    def small(self, connection):
        """A small request and its answer, which must be the server's."""
        hello(self.ask(connection, "GET", "small"))


def hello(answer):
    body = answer.read()
    if body != b"hello":
        sys.exit(f"the answer is not the server's: {body[:200]!r}")


def timed(count, act):
    """Microseconds that each of at most `count` times took, as a line."""
    times = []
    begin = time.perf_counter()
    for turn in range(WARM_UP + count):
        start = time.perf_counter()
        if times and start - begin > LONG:
            break
        act()
        if turn >= WARM_UP:
            times.append((time.perf_counter() - start) * 1e6)
    return " ".join(f"{each:.1f}" for each in times)


def new(server, count):
    def act():
        with contextlib.closing(server.connect()) as connection:
            server.small(connection)

    return timed(count, act)


def kept(server, count):
    def unanswered(*_):
        raise http.client.NotConnected

    # There are proxies that neither close a connection after its first request nor answer another. No time-out of the
    # socket: Python would then wait with poll(2) before each read and write, and take longer for all of them.
    signal.signal(signal.SIGALRM, unanswered)
    # Far beyond what a machine that stalls takes: the figures end after LONG by themselves.
    signal.alarm(20 * LONG)
    with contextlib.closing(server.connect()) as connection:
        try:
            return timed(count, lambda: server.small(connection))
        except http.client.NotConnected:
            return "not kept"
        finally:
            signal.alarm(0)


def down(server, bulk):
    with contextlib.closing(server.connect()) as connection:
        start = time.perf_counter()
        answer, length = server.ask(connection, "GET", f"bulk/{bulk}"), 0
        while chunk := answer.read(CHUNK):
            length += len(chunk)
        if length != bulk:
            sys.exit(f"the bulk answer has {length} bytes, and not {bulk}")
        return time.perf_counter() - start


def up(server, bulk):
    chunk = bytes(CHUNK)
    chunks = (chunk[: min(CHUNK, bulk - at)] for at in range(0, bulk, CHUNK))
    with contextlib.closing(server.connect()) as connection:
        start = time.perf_counter()
        hello(server.ask(connection, "POST", "upload", chunks, bulk))
        return time.perf_counter() - start


def main():
    url, roots, connections, requests, bulk, *proxy = sys.argv[1:]
    # As the lean client (processor.rs).
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    connections, requests, bulk = int(connections), int(requests), int(bulk)
    server = Server(url, roots)
    if proxy and not server.proxy:
        sys.exit(f"no variable names a proxy for {url}: this would be the direct way")
    print(new(server, connections), kept(server, requests), down(server, bulk), up(server, bulk), sep="\n")


main()
