"""What stands in front of a real search server and does what that one cannot be made to do: TLS, passwords, answers that are lost.

Everything else goes to the server and back as it is."""
import base64
import http.client
import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class SearchProxy:
    """`meddle(proxy, number, method, path)` names the fate of each request, numbered from 1:
    None            it goes through
    "reset"         it is applied, and the connection ends without an answer
    "cut"           it is applied, and half of the answer comes
    (status, json)  it does not reach the server, and this is the answer"""

    def __init__(self, search, meddle=None, username=None, password=None, tls=None):
        self.search = search
        self.meddle = meddle or (lambda *_: None)
        self.authorization = username and "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self.requests = 0
        self.bulks = 0
        self.refused = 0
        self.compressed = 0
        self.lock = threading.Lock()
        self.connections = set()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *unused):
                pass

            def setup(self):
                super().setup()
                with proxy.lock:
                    proxy.connections.add(self.connection)

            def finish(self):
                with proxy.lock:
                    proxy.connections.discard(self.connection)
                super().finish()

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with proxy.lock:
                    proxy.requests += 1
                    proxy.bulks += self.path.startswith("/_bulk")
                    proxy.compressed += "Content-Encoding" in self.headers
                    number = proxy.requests
                    if proxy.authorization and self.headers.get("Authorization") != proxy.authorization:
                        proxy.refused += 1
                        fate = (401, {"error": {"type": "security_exception", "reason": "missing authentication credentials"}, "status": 401})
                    else:
                        fate = proxy.meddle(proxy, number, self.command, self.path)
                if isinstance(fate, tuple):
                    return self.reply(fate[0], json.dumps(fate[1]).encode())
                connection = http.client.HTTPConnection("127.0.0.1", proxy.search.port, timeout=60)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "content-encoding")}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except OSError:
                    return self.end()
                finally:
                    connection.close()
                if fate == "reset":
                    return self.end()
                self.reply(answer.status, content, cut=fate == "cut")

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

            def reply(self, status, content, cut=False):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:len(content) // 2] if cut else content)
                if cut:
                    self.end()

            def end(self):
                self.close_connection = True
                self.wfile.flush()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *unused):  # the other side went away
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    def stop(self):
        """Nobody is connected any more, nor can be. Safe twice."""
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it ended meanwhile
