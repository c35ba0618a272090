"""Billing in Python: listens to orders, sends invoices, publishes payments, gets receipts by webhook."""

import http.server
import json
import os
import threading

from dovetail_events import Events, Refused, verify_webhook

SECRET = os.environ.get("RECEIPTS_SECRET", "whsec_YS1kZXZlbG9wbWVudC1zZWNyZXQ=")
events = Events(
    f"http://127.0.0.1:{os.environ.get('EVENTS_PORT', '8090')}",
    os.environ.get("BILLING_TOKEN", "a-development-token"))
receipts = []
received = threading.Event()


class Receipts(http.server.BaseHTTPRequestHandler):
    """Takes webhooks that are signed as they should be."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_ours = verify_webhook(self.headers, body, SECRET)
        self.send_response(204 if is_ours else 401)
        self.end_headers()
        if is_ours:
            receipts.append(json.loads(body))
            received.set()

    def log_message(self, *arguments):
        pass


def invoice(delivery):
    """Publishes the payment of an order, and says that the order is handled."""
    order = delivery["event"]
    events.publish({"id": f"payment-{order['id']}", "source": "/billing", "type": "payment.settled",
                    "subject": order["subject"], "data": {"amount": order["data"]["total"]}})
    events.ack("invoices", delivery["token"])
    return f"{order['id']} {order['data']['total']}"


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("RECEIPTS_PORT", "8091"))), Receipts)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    # Orders come in, several in one request; sent twice, they are there once.
    orders = [{"id": f"order-{number}", "source": "/shop", "type": "order.placed", "subject": f"customer-{number}",
               "data": {"total": total}} for number, total in enumerate([250, 40, 120])]
    print("published", len(events.publish(*orders)["ids"]))
    print("again, duplicates:", events.publish(*orders)["duplicates"])

    # Each order of a hundred and more gets an invoice, and is acknowledged.
    invoiced = []
    while len(invoiced) < 2:
        for delivery in events.fetch("invoices", limit=10, wait=5):
            invoiced.append(invoice(delivery))
    for line in sorted(invoiced):
        print("invoiced", line)

    # What was settled comes back as a signed webhook.
    while len(receipts) < 2 and received.wait(10):
        received.clear()
    print("receipts", sorted(receipt["data"]["amount"] for receipt in receipts))

    # A stream from the beginning, broken off and taken up where it was.
    stream = events.stream(topics="order.placed", **{"from": "beginning"})
    first, position = next(stream)
    stream.close()
    second, _ = next(events.stream(last_event_id=position, topics="order.placed"))
    print("streamed", first["id"], second["id"])

    # What is wrong is said by its name.
    try:
        events.publish({"id": "7", "source": "/billing", "type": "order.placed", "time": "yesterday"})
    except Refused as refused:
        print("refused", refused.status, refused.problem["violations"][0]["pointer"])

    server.shutdown()


if __name__ == "__main__":
    main()
