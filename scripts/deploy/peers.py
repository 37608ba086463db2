"""Programs that run beside us for a while: started on ports of their own, asked, waited for, ended."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request


def free_ports(count):
    """Ports that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def ask(url, timeout=2.0):
    """The status code and the body; (None, "") where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None, ""


def until(what, condition, seconds):
    """Asks again and again, and gives what it found; an error where that takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"FAILED: after {seconds} s still not: {what}")
        time.sleep(0.1)


class Program:
    """A process of ours, and the file with all that it has said."""

    def __init__(self, name, command, folder):
        self.name, self.command, self.folder = name, command, folder
        self.log, self.process = folder / f"{name}.log", None

    def start(self, *more):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *more], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self):
        """kill -9, where it still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Prometheus(Program):
    """A real one, with the files of deploy/prometheus in its folder."""

    def __init__(self, folder, port):
        self.url = f"http://127.0.0.1:{port}"
        super().__init__("prometheus", [
            "prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ], folder)

    def _get(self, path, **arguments):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        code, body = ask(url, timeout=10)
        if code != 200:
            raise SystemExit(f"FAILED: {path} {arguments}: {code} {body}")
        return json.loads(body)["data"]["result"]

    def query(self, expr):
        """Each series with its value now."""
        found = self._get("query", query=expr)
        return [(one["metric"], float(one["value"][1])) for one in found]

    def range(self, expr, begin, end, step=1):
        """Each series with its values from `begin` to `end`."""
        found = self._get("query_range", query=expr, start=begin, end=end, step=step)
        return [(one["metric"], [(float(at), float(value)) for at, value in one["values"]])
                for one in found]
