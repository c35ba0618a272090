#!/usr/bin/env python3
"""Three services in another language behind the gateway of platform.yaml: a catalog, twice, and orders, with the standard library alone."""

import http.server
import json
import signal
import threading


def service(port, name, answer, fields=lambda request: {}):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b"" if self.path == "/health" else json.dumps({"from": name, **answer(self)}).encode()
            allowed = fields(self)
            self.send_response(200 if allowed is not None else 401)
            for field in (allowed or {}).items():
                self.send_header(*field)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def order(request):
    return {"path": request.path, "edge": request.headers.get("x-edge"), "user": request.headers.get("x-user"), "cookie": request.headers.get("cookie"),
            "caller": request.headers.get("x-forwarded-for"), "trace": request.headers.get("traceparent")}


service(9001, "catalog-1", lambda request: {"path": request.path})
service(9002, "catalog-2", lambda request: {"path": request.path})
def verify(request):
    """Who a session is: what forward authentication asks. None is answered 401."""
    session = (request.headers.get("cookie") or "").removeprefix("session=")
    return {"x-user": session, "x-scopes": "orders:read"} if session in ("ann", "bob") else None


service(9003, "orders", order)
service(9004, "portal", lambda request: {}, verify)
print("services are up", flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
