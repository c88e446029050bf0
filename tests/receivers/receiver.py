"""An HTTP endpoint as a user would write one: verifies with the published Python libraries, keeps what it got, answers as told."""
import collections
import json
import socket
import socketserver
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler

from tests.receivers.libraries import python_libraries
from tests.servers.postgres import free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Delivery = collections.namedtuple("Delivery", "id at headers body raw event path")


class Reset(Exception):
    """The answer that is a connection reset."""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512


class Receiver:
    """`answer(delivery)` gives the status, or (status, headers); it may raise Reset. Verified deliveries that were answered with a
    2xx are in `taken`, in order; every verified try is in `tries`; what did not verify is in `refused`."""

    def __init__(self, secret=SECRET, answer=None, tls=None, verify=True, port=None):
        python_libraries()
        self.secrets = {}
        self.verified_by = collections.Counter()  # by secret
        if verify:
            self.accept(secret)
        self.answer = answer or (lambda delivery: 204)
        self.tls = tls
        self.port = port or free_port()
        self.lock = threading.Lock()
        self.tries, self.taken, self.refused = [], [], []
        self.in_flight = collections.Counter()
        self.overlaps = []  # keys that were in flight twice at a time
        self.connections = 0
        self.open = set()
        self.server = None
        self.start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    def accept(self, secret):
        """Takes this secret as well, beside the earlier ones."""
        from standardwebhooks import Webhook
        self.secrets[secret] = Webhook(secret)

    def _verify(self, raw, headers):
        if not self.secrets:
            return json.loads(raw or b"null")
        failure = None
        for secret, webhook in reversed(list(self.secrets.items())):
            try:
                body = webhook.verify(raw, headers)
            except Exception as error:
                failure = error
                continue
            with self.lock:
                self.verified_by[secret] += 1
            return body
        raise failure

    def start(self):
        """Comes (back) up, on the same port."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with outer.lock:
                    outer.connections += 1
                    outer.open.add(self.connection)

            def finish(self):
                with outer.lock:
                    outer.open.discard(self.connection)
                super().finish()

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["content-length"]))
                outer._take(self, raw)

            def log_message(self, *unused):
                pass

        self.server = _Server(("127.0.0.1", self.port), Handler)
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        """Refuses connections, and drops those that are open."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            with self.lock:
                for connection in self.open:
                    try:
                        connection.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass  # it ended meanwhile

    def _take(self, handler, raw):
        at = time.time()
        headers = {name.lower(): value for name, value in handler.headers.items()}
        try:
            body = self._verify(raw, headers)
        except Exception as error:
            with self.lock:
                self.refused.append(f"{type(error).__name__}: {error}")
            self._reply(handler, 400, {})
            return
        delivery = Delivery(headers.get("webhook-id"), at, headers, body, raw, self._event(headers, raw), handler.path)
        key = self._key(delivery)
        with self.lock:
            self.in_flight[key] += 1
            if self.in_flight[key] > 1:
                self.overlaps.append(key)
            self.tries.append(delivery)
        try:
            answer = self.answer(delivery)
        except Reset:
            with self.lock:
                self.in_flight[key] -= 1
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        status, more = answer if isinstance(answer, tuple) else (answer, {})
        with self.lock:
            self.in_flight[key] -= 1
            if 200 <= status < 300:
                self.taken.append(delivery)
        self._reply(handler, status, more)

    @staticmethod
    def _event(headers, raw):
        """The CloudEvent that the published library reads, if it is one."""
        if "ce-id" not in headers and not headers.get("content-type", "").startswith("application/cloudevents"):
            return None
        from cloudevents.core.bindings.http import HTTPMessage, from_http_event
        return from_http_event(HTTPMessage(headers=headers, body=raw))

    @staticmethod
    def _key(delivery):
        """The row that a delivery of the default format speaks of."""
        data = delivery.body.get("data") if isinstance(delivery.body, dict) else None
        return json.dumps(data.get("key")) if isinstance(data, dict) and "key" in data else delivery.id

    @staticmethod
    def _reply(handler, status, headers):
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            if status != 204 and status != 304:
                handler.send_header("content-length", "0")
            handler.end_headers()
        except OSError:
            pass  # the sender is gone

    def ids(self):
        with self.lock:
            return [delivery.id for delivery in self.taken]


def server_context(certificate, key, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context
