#!/usr/bin/python3
"""The ClickHouse engine of chdb behind as much of ClickHouse's HTTP interface as a sink uses. Real: parser, types, formats, engines,
merges, deduplication, storage on disk. Not real: this file, which stands where ClickHouse has a server. So of what it does this
proves nothing: connections, users, quotas, replication, concurrency (one statement at a time), HTTP statuses (a table below).

    clickhouse_engine.py PORT FOLDER        PYTHONPATH names the folder that holds chdb
"""
import os
import re
import sys
import tempfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chdb.session import Session

STATUS = {60: 404, 81: 404, 115: 404, 16: 404, 516: 403, 497: 403, 159: 408, 202: 503}
NOT_SETTINGS = {"query", "database", "user", "password", "default_format", "query_id", "session_id", "wait_end_of_query", "buffer_size"}
INSERT = re.compile(r"\s*(insert\s+into\s.*?)\s+format\s+(\w+)\s*$", re.IGNORECASE | re.DOTALL)
FORMAT = re.compile(r"\s+format\s+(\w+)\s*;?\s*$", re.IGNORECASE)
READS = re.compile(r"\s*(select|with|show|describe|desc|exists|explain)\b", re.IGNORECASE)
ENCODINGS = {"gzip", "zstd", "lz4", "deflate", "br", "xz"}


class Engine:
    def __init__(self, folder):
        self.folder = folder
        self.session = Session(os.path.join(folder, "data"))
        self.lock = threading.Lock()

    def run(self, query, body, encoding, parameters):
        settings = ", ".join(f"{name} = {value if re.fullmatch(r'-?[0-9.]+', value) else repr(value)}"
                             for name, value in parameters.items() if name not in NOT_SETTINGS)
        insert = INSERT.match(query)
        with self.lock:
            if insert and body:
                return self.insert(insert[1], insert[2], body, encoding, settings)
            output = "TabSeparated"
            if READS.match(query):
                named = FORMAT.search(query)
                if named:
                    query, output = query[:named.start()], named[1]
                if settings:
                    query += f" SETTINGS {settings}"
            elif settings and re.match(r"\s*insert\s", query, re.IGNORECASE):
                query = re.sub(r"\)\s*(VALUES|SELECT)\s", rf") SETTINGS {settings} \1 ", query, count=1)
            return bytes(self.session.query(query, output).bytes())

    def insert(self, head, format_name, body, encoding, settings):
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(body)
        try:
            self.session.query(f"{head} FROM INFILE '{file.name}' COMPRESSION '{encoding or 'none'}' "
                               f"{'SETTINGS ' + settings if settings else ''} FORMAT {format_name}")
        finally:
            os.unlink(file.name)
        return b""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine = None

    def log_message(self, *unused):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self, body=b""):
        address = urllib.parse.urlsplit(self.path)
        parameters = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True, encoding="utf-8", errors="surrogateescape"))
        if address.path == "/ping":
            return self.answer(200, b"Ok.\n")
        query, encoding = parameters.get("query", ""), self.headers.get("Content-Encoding", "")
        if not query:
            query, body = body.decode("utf-8", "surrogateescape"), b""
        if encoding and encoding not in ENCODINGS:
            return self.answer(500, b"Code: 48. DB::Exception: unknown encoding")
        try:
            self.answer(200, self.engine.run(query, body, encoding, parameters))
        except BrokenPipeError:
            raise
        except Exception as error:
            text = str(error)
            number = re.search(r"Code: (\d+)", text)
            code = int(number[1]) if number else 1002
            if not number:
                text = f"Code: 1002. DB::Exception: {text}"
            self.answer(STATUS.get(code, 500), text.encode("utf-8", "surrogateescape"), X_ClickHouse_Exception_Code=str(code))

    def do_POST(self):
        self.do_GET(self.rfile.read(int(self.headers.get("Content-Length") or 0)))


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *unused):  # the other side went away
        pass


if __name__ == "__main__":
    Handler.engine = Engine(sys.argv[2])
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
