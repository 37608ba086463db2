"""Those who look on: one asks every replica for its readiness, one gets what the Alertmanager sends."""

import http.server
import json
import threading
import time

from peers import ask


class Observer(threading.Thread):
    """Asks /readiness ten times a second, as a load balancer that misses nothing would: what it has
    seen is what the recorded series must say. Knows nothing of Prometheus."""

    EVERY = 0.1

    def __init__(self, urls):
        super().__init__(daemon=True)
        self.urls, self.seen, self.stopped = urls, [], threading.Event()

    def run(self):
        while not self.stopped.wait(self.EVERY):
            at = time.time()
            ready = [ask(f"{url}/readiness", timeout=1.0)[0] == 200 for url in self.urls]
            self.seen.append((at, ready))

    def down(self, begin, end, replica=None):
        """For how many seconds from `begin` to `end` the replica was not ready; without one, for how
        many none was."""
        total, last = 0.0, begin
        for at, ready in [one for one in list(self.seen) if begin <= one[0] <= end]:
            is_up = any(ready) if replica is None else ready[replica]
            total += 0.0 if is_up else at - last
            last = at
        return total


class Receiver:
    """The webhooks of deploy/prometheus/alertmanager.yml: keeps each alert that comes."""

    def __init__(self, port):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for alert in json.loads(body)["alerts"]:
                    received.append((self.path.strip("/"), alert["status"], alert))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def got(self, status, name, since=0, /, **labels):
        """How often, from its place `since` in the list on."""
        return sum(
            1
            for _, found, alert in self.received[since:]
            if found == status
            and alert["labels"]["alertname"] == name
            and labels.items() <= alert["labels"].items()
        )

    def unresolved(self, but=()):
        """The alerts whose last news is that they fire, but for some names."""
        last = {}
        for _, status, alert in self.received:
            last[tuple(sorted(alert["labels"].items()))] = status
        firing = [dict(labels) for labels, status in last.items() if status == "firing"]
        return [labels for labels in firing if labels["alertname"] not in but]
