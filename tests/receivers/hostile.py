"""Endpoints that do harm: each behaviour is a function that gets a connection with a request already read from it."""
import itertools
import socket
import struct
import threading

from tests.servers.postgres import free_port

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def slow_loris(connection, over):
    """A reply that never gets anywhere, a byte at a time."""
    for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nX-Slow: yes\r\n"):
        if over.wait(0.05):
            return
        connection.sendall(bytes([byte]))


def endless_body(connection, over):
    connection.sendall(b"HTTP/1.1 500 Oh\r\ncontent-type: text/plain\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"x" * 65536)


def endless_headers(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def garbage(connection, over):
    connection.sendall(bytes(range(256)) * 64)


def reset_before_the_reply(connection, over):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_in_mid_body(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def flood_of_1xx(connection, over):
    while not over.is_set():
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)


def redirect_to_metadata(connection, over):
    connection.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/latest/meta-data/\r\ncontent-length: 0\r\n\r\n")


def closes_at_once(connection, over):
    pass


class HostileServer:
    """`whole_requests`: it reads one of HTTP before it answers; else whatever comes first, of any protocol."""

    def __init__(self, behaviour, port=None, whole_requests=True):
        self.behaviour = behaviour
        self.whole_requests = whole_requests
        self.port = port or free_port()
        self.over = threading.Event()
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    def stop(self):
        self.over.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _serve(self):
        while not self.over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _read_rest(self, connection, data):
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return False
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        while len(body) < length:
            body += connection.recv(65536)
        return True

    def _handle(self, connection):
        with connection:
            try:
                data = connection.recv(65536)
                if not data:
                    return
                if self.whole_requests and not self._read_rest(connection, data):
                    return
                self.requests += 1
                self.behaviour(connection, self.over)
            except OSError:
                pass  # the sender gave up, as it should


class BlackHole:
    """Accepts nothing: a listening socket whose queue is full, so that connecting hangs."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            try:
                filler.connect(("127.0.0.1", self.port))
            except BlockingIOError:
                pass
            self.fillers.append(filler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def stop(self):
        for filler in self.fillers:
            filler.close()
        self.listener.close()
