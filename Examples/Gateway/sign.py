#!/usr/bin/env python3
"""Signs a request (RFC 9421, hmac-sha256) with a digest of its body (RFC 9530) and sends it, with the standard library alone.

    ./sign.py GET https://localhost:8443/signed/orders/7
    ./sign.py PUT https://localhost:8443/signed/orders/7 '{"quantity": 2}'
"""

import base64
import hashlib
import hmac
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid


def sign(method, url, body, key_id, secret):
    """The header fields that a request needs to be let in."""
    parts = urllib.parse.urlsplit(url)
    fields = {"@method": method, "@authority": parts.netloc.lower(), "@path": parts.path, "@query": "?" + parts.query}
    headers = {}
    if body is not None:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers["Content-Digest"] = fields["content-digest"] = f"sha-256=:{digest}:"
    covered = " ".join(f'"{name}"' for name in fields)
    parameters = f'({covered});created={int(time.time())};keyid="{key_id}";nonce="{uuid.uuid4()}";alg="hmac-sha256"'
    base = "".join(f'"{name}": {value}\n' for name, value in fields.items()) + f'"@signature-params": {parameters}'
    code = base64.b64encode(hmac.new(secret, base.encode(), hashlib.sha256).digest()).decode()
    return headers | {"Signature-Input": f"sig1={parameters}", "Signature": f"sig1=:{code}:"}


if len(sys.argv) < 3:
    sys.exit(__doc__)
method, url = sys.argv[1:3]
body = sys.argv[3].encode() if len(sys.argv) > 3 else None
secret = os.environ.get("GLOBEX_SECRET", "globex-secret-for-trying-out").encode()
request = urllib.request.Request(url, body, sign(method, url, body, "globex", secret), method=method)
context = ssl.create_default_context(cafile="keys/edge.pem") if url.startswith("https") else None
try:
    with urllib.request.urlopen(request, context=context) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as answer:
    sys.exit(f"{answer.code} {answer.read().decode()}")
