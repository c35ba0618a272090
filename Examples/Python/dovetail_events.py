"""A small client of Dovetail's door for events, with nothing but Python's own library."""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request


class Refused(Exception):
    """The platform refused a request, and says why as problem details (RFC 9457)."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem.get('detail', problem)}")
        self.status = status
        self.problem = problem


class Events:
    """Publishes, reads and fetches CloudEvents."""

    def __init__(self, url, token):
        self.url = url
        self.token = token

    def publish(self, *events, at=None):
        """Publishes events, all of them or none; returns when they are durable. Sent again, the same ids change nothing."""
        query = {"at": at} if at else {}
        return self._send("POST", "/events", query, [dict(event, specversion="1.0") for event in events],
                          "application/cloudevents-batch+json")

    def cancel(self, event_id):
        """Takes back an event that waits for its time."""
        return self._send("DELETE", f"/events/{event_id}")

    def read(self, **query):
        """A page of events; `after` is the position that the page before ended with."""
        request = self._request("GET", "/events", query)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer), answer.headers["Dovetail-Position"]

    def stream(self, last_event_id=None, **query):
        """Events as they come, each with its position: after a broken connection, go on from the last one."""
        request = self._request("GET", "/events", query)
        request.add_header("Accept", "text/event-stream")
        if last_event_id:
            request.add_header("Last-Event-ID", last_event_id)
        with urllib.request.urlopen(request) as answer:
            position = None
            for line in answer:
                text = line.decode().rstrip("\n")
                if text.startswith("id: "):
                    position = text[4:]
                elif text.startswith("data: "):
                    yield json.loads(text[6:]), position

    def fetch(self, subscription, limit=10, wait=20):
        """Events of a subscription for this client to handle; each comes again unless it is acknowledged in time."""
        return self._send("POST", f"/subscriptions/{subscription}/fetch", {"limit": limit, "wait": wait})["deliveries"]

    def ack(self, subscription, *tokens):
        """Says that events are handled."""
        return self._send("POST", f"/subscriptions/{subscription}/ack", {}, {"tokens": tokens})

    def nack(self, subscription, *tokens, error):
        """Says that events could not be handled: they are tried again later, and end in the dead letters."""
        return self._send("POST", f"/subscriptions/{subscription}/nack", {}, {"tokens": tokens, "error": error})

    def _request(self, method, path, query=None, body=None, content_type="application/json"):
        url = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(url, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", content_type)
            request.data = json.dumps(body).encode()
        return request

    def _send(self, *arguments):
        try:
            with urllib.request.urlopen(self._request(*arguments)) as answer:
                body = answer.read()
                return json.loads(body) if body else None
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.load(error)) from None


def verify_webhook(headers, body, secret, tolerance=300):
    """Whether a webhook is the platform's, whole and fresh (Standard Webhooks)."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    is_fresh = abs(time.time() - int(headers["webhook-timestamp"])) <= tolerance
    return is_fresh and any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split(" "))
