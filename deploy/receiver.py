#!/usr/bin/env python3
"""A webhook receiver in one page: checks the signature as the Standard Webhooks specification says, then prints what it got.

    receiver.py PORT SECRET_FILE

Uses Python's own library only, to show how little it takes. In earnest use the published `standardwebhooks` package of your language.
"""
import base64
import hashlib
import hmac
import json
import sys
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, secret_file = int(sys.argv[1]), sys.argv[2]
seen = set()  # ids that were handled: a call may come twice, with the same id


def verified(headers, body):
    key = base64.b64decode(open(secret_file).read().strip().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split())


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        now = time.time()
        body = self.rfile.read(int(self.headers["content-length"]))
        if not verified(self.headers, body):
            self.send_response(400, "bad signature")
        elif self.headers["webhook-id"] in seen:
            self.send_response(204)
        else:
            event = json.loads(body)
            seen.add(self.headers["webhook-id"])
            committed = datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()
            data = event["data"]
            print(f"verified {self.headers['webhook-id'][:12]}… user {data['after']['user_id']}: {data['before']['plan']} -> {data['after']['plan']}, "
                  f"{(now - committed) * 1000:.1f} ms after the commit", flush=True)
            self.send_response(204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *unused):
        pass


ThreadingHTTPServer.allow_reuse_address = True
ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
