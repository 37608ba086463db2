#!/usr/bin/env python3
"""Three replicas of the example, a real Prometheus and a real Alertmanager, through outages of one
replica and of all. See scripts/prometheus-outage, which has what this needs installed and built."""

import argparse
import math
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from compress import compress, replaced
from observer import Observer, Receiver
from peers import Program, Prometheus, ask, free_ports, until
from queries import queries, variables

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ["avail.recording.yml", "avail.alerts.yml"]

# Five minutes take three seconds, an hour 36.
FASTER = 100
SCRAPE = EVALUATE = 1
# How far the recorded length of an outage may be from the one that was seen. Prometheus learns of an
# edge at its next scrape, and its rules at their next evaluation after that: between 0 and
# SCRAPE + EVALUATE seconds late. The length is off by the difference between the delays at both its
# ends: no more than that in either direction. A second more is for a machine that lets both wait.
TOLERANCE = SCRAPE + EVALUATE + 1
# What goes on for longer than an outage, by its very meaning.
LASTING = ("AvailServiceBudgetBurnsSlowly", "AvailComponentBudgetBurnsSlowly", "AvailServiceBelowTarget")
# How long an outage is, in seconds.
LENGTH = 15
# How long anything may take that takes so long only on a slow machine.
PATIENCE = 60


class Replica(Program):
    def __init__(self, number, port, binary, folder):
        self.address, self.url = f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"
        super().__init__(f"replica-{number}", [
            binary, "--listen", self.address, "--data", str(folder / f"data-{number}"),
            str(ROOT / "README.md"),
        ], folder)

    def is_ready(self):
        return ask(f"{self.url}/readiness")[0] == 200


class Stage:
    """Everybody who takes part, in a folder of their own."""

    def __init__(self, binary, folder):
        *ports, self.prometheus_port, self.alertmanager_port, webhook = free_ports(6)
        self.folder = folder
        self.replicas = [Replica(at, port, binary, folder) for at, port in enumerate(ports)]
        self.prometheus = Prometheus(folder, self.prometheus_port)
        self.alertmanager = Program("alertmanager", [
            "prometheus-alertmanager", "--config.file=alertmanager.yml", "--log.level=warn",
            f"--storage.path={folder}/alertmanager", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{self.alertmanager_port}",
        ], folder)
        self.write_files(webhook)
        self.receiver = Receiver(webhook)
        self.observer = Observer([one.url for one in self.replicas])
        self.differences = []

    def write_files(self, webhook):
        """The very files of deploy/prometheus: faster, and with our addresses."""
        source = ROOT / "deploy/prometheus"
        targets = ", ".join(one.address for one in self.replicas)
        config = replaced((source / "prometheus.yml").read_text(), [
            ("15s", f"{SCRAPE}s"), ("scrape_timeout: 5s", f"scrape_timeout: {SCRAPE}s"),
            ("127.0.0.1:9093", f"127.0.0.1:{self.alertmanager_port}"), ("127.0.0.1:8000", targets),
        ])
        (self.folder / "prometheus.yml").write_text(config)
        alerts = replaced((source / "alertmanager.yml").read_text(), [(":9094/", f":{webhook}/")])
        (self.folder / "alertmanager.yml").write_text(compress(alerts, FASTER))
        for name in RULES:
            (self.folder / name).write_text(compress((source / name).read_text(), FASTER))

    def programs(self):
        return [*self.replicas, self.prometheus, self.alertmanager]

    def start(self):
        for one in (self.alertmanager, self.prometheus):
            one.start()
        for one, port in (("Alertmanager", self.alertmanager_port), ("Prometheus", self.prometheus_port)):
            url = f"http://127.0.0.1:{port}/-/ready"
            until(f"{one} is ready", lambda url=url: ask(url)[0] == 200, PATIENCE)
        self.observer.start()
        self.start_all()

    def start_all(self, *options):
        for one in self.replicas:
            one.start(*options)
        until("all replicas are ready", lambda: all(one.is_ready() for one in self.replicas), PATIENCE)
        until("Prometheus sees all serve", lambda: self.serving() == len(self.replicas), PATIENCE)

    def serving(self):
        return sum(value for _, value in self.prometheus.query("service:avail_replicas_serving:sum"))

    def fires(self, name, /, **labels):
        """Whether the rule holds in Prometheus now."""
        wanted = "".join(f', {key}="{value}"' for key, value in labels.items())
        return self.prometheus.query(f'ALERTS{{alertname="{name}", alertstate="firing"{wanted}}}')

    def told(self, status, name, since, /, **labels):
        """Waits until the Alertmanager has told it to somebody."""
        until(
            f"the Alertmanager has told that {name} is {status}",
            lambda: self.receiver.got(status, name, since, **labels), PATIENCE,
        )

    def end(self):
        """Whatever still runs; the replicas need no time to drain."""
        self.observer.stopped.set()
        for one in self.programs():
            one.kill()


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    print(f"  {what}")


def recorded_down(stage, series, begin, end):
    """For how many seconds the recorded series was 0."""
    found = stage.prometheus.range(series, begin, end)
    if len(found) != 1:
        raise SystemExit(f"FAILED: {series} is not one series: {found}")
    values = [value for _, value in found[0][1]]
    if len(values) < 0.9 * (end - begin):
        raise SystemExit(f"FAILED: {series} has only {len(values)} values in {end - begin:.0f} s")
    return sum(1 for value in values if value == 0) * (end - begin) / len(values)


def compare(stage, what, series, begin, end, outages, replica=None):
    """What was recorded with what was seen."""
    seen = stage.observer.down(begin, end, replica)
    recorded = recorded_down(stage, series, begin, end)
    length = end - begin
    stage.differences.append(abs(seen - recorded) / max(1, outages))
    check(
        abs(seen - recorded) <= TOLERANCE * outages,
        f"{what}: {100 * (1 - recorded / length):.1f} % recorded and {100 * (1 - seen / length):.1f} % "
        f"seen, of {length:.0f} s: {recorded:.1f} and {seen:.1f} s of down time "
        f"(to {TOLERANCE * outages} s)",
    )
    return seen


def settled(stage):
    """The end of a part: a moment at which everything has been recorded."""
    until("Prometheus sees all serve", lambda: stage.serving() == len(stage.replicas), PATIENCE)
    until("nothing fires", lambda: not stage.receiver.unresolved(LASTING), PATIENCE)
    return time.time()


def one_replica(stage):
    print("one replica is killed, and started again:")
    begin, since, replica = time.time(), len(stage.receiver.received), stage.replicas[0]
    replica.kill()
    stage.told("firing", "AvailTargetAbsent", since, instance=replica.address)
    until("it has been dead for so long", lambda: time.time() - begin > LENGTH, PATIENCE)
    replica.start()
    stage.told("resolved", "AvailTargetAbsent", since, instance=replica.address)
    end = settled(stage)
    down = compare(stage, "the service", "service:avail_serving:max", begin, end, 0)
    check(down == 0, "it served all the time")
    series = f'instance:avail_serving:bool{{instance="{replica.address}"}}'
    down = compare(stage, "the replica", series, begin, end, 1, 0)
    check(down > LENGTH - 1, "which did not")
    check(not stage.receiver.got("firing", "AvailServiceDown", since), "nobody was paged")


def all_killed(stage):
    print("all are killed, and started again with a database that will go away:")
    until(
        "the service is known for an hour",
        lambda: stage.prometheus.query("last_over_time(service:avail_known:group[36s] offset 36s)"),
        PATIENCE + 2 * 36,
    )
    since = len(stage.receiver.received)
    for one in stage.replicas:
        one.kill()
    stage.told("firing", "AvailServiceDown", since)
    until("its budget burns fast", lambda: stage.fires("AvailServiceBudgetBurnsFast"), PATIENCE)


def storage_away(stage):
    """They start with an outage of LENGTH seconds of each one's database, 5 s after they are ready."""
    since = len(stage.receiver.received)
    stage.start_all("--outage", f"storage={LENGTH}s")
    stage.told("resolved", "AvailServiceDown", since)
    print("the database of all goes away:")
    begin, since = time.time(), len(stage.receiver.received)
    stage.told("firing", "AvailServiceDown", since)
    stage.told("firing", "AvailIncidentOpen", since, component="storage")
    stage.told("firing", "AvailBreakerOpen", since, name="storage")
    stage.told("firing", "AvailComponentBudgetBurnsFast", since, component="storage")
    for name in ("AvailServiceBudgetBurnsFast", "AvailReplicaNotReady"):
        until(f"{name} fires", lambda name=name: stage.fires(name), PATIENCE)
    for name in ("AvailServiceDown", "AvailIncidentOpen", "AvailBreakerOpen",
                 "AvailComponentBudgetBurnsFast"):
        stage.told("resolved", name, since)
    end = settled(stage)
    seen = compare(stage, "the service", "service:avail_serving:max", begin, end, 1)
    # A check runs once a second, with 10 % of jitter: that late each edge may be seen.
    check(abs(seen - LENGTH) <= 2.5, f"it was gone for {seen:.1f} s, and its database for {LENGTH} s")
    component = stage.prometheus.range('component:avail_up:avg{component="storage"}', begin, end)
    down = sum(1 - value for _, value in component[0][1])
    check(abs(down - LENGTH) <= TOLERANCE + 2.5, f"its component storage was down for {down:.1f} s")


def dashboard_has_data(stage, begin, end):
    print("the dashboard:")
    dashboard = ROOT / "deploy/grafana/avail.json"
    empty, count = [], 0
    for window in ("24h", "7d", "30d", "all_time"):
        chosen = {"$window": window, "$__rate_interval": "5s", "$__range": f"{int(end - begin)}s"}
        for title, expr in queries(dashboard, chosen):
            series = stage.prometheus.range(expr, begin, end, 2)
            count += 1
            if not any(math.isfinite(value) for _, values in series for _, value in values):
                empty.append(f"{title}: {expr}")
    check(not empty, f"{count} queries give data" if not empty else "no data: " + "; ".join(empty))
    for name, selector, label in variables(dashboard):
        found = stage.prometheus.query(f"count by ({label}) ({selector})")
        # No namespace outside Kubernetes: that one may be empty.
        check(found, f"${name} has {len(found)} values")


def tools_are_silent(stage):
    print("promtool:")
    text = ask(f"{stage.replicas[0].url}/metrics/prometheus")[1]
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    check((said.returncode, said.stdout, said.stderr) == (0, "", ""), "nothing to say of the metrics")
    said = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=stage.folder, capture_output=True, text=True
    )
    warned = [line for line in said.stdout.splitlines() if line.strip() and "SUCCESS" not in line
              and not line.startswith("Checking")]
    check((said.returncode, warned, said.stderr) == (0, [], ""), "nor of the configuration and its rules")
    for one in (stage.prometheus, stage.alertmanager):
        check(one.said() == "", f"{one.name} had nothing to warn of" + one.said()[-2000:])


def run(stage, minutes):
    begin, rounds = time.time(), 0
    stage.start()
    while rounds == 0 or time.time() - begin < 60 * minutes:
        rounds += 1
        print(f"--- round {rounds}, after {time.time() - begin:.0f} s")
        one_replica(stage)
        all_begin = time.time()
        all_killed(stage)
        storage_away(stage)
        compare(stage, "the service, both outages of all", "service:avail_serving:max", all_begin,
                time.time(), 2)
    if minutes:
        for name in LASTING:
            check(any(stage.prometheus.range(f'ALERTS{{alertname="{name}", alertstate="firing"}}',
                                             begin, time.time(), 5)), f"{name} has fired")
    dashboard_has_data(stage, begin, time.time())
    tools_are_silent(stage)
    print(f"what was recorded differs from what was seen by at most {max(stage.differences):.1f} s an outage")
    told = {(path, alert["labels"]["alertname"]) for path, _, alert in stage.receiver.received}
    print(f"{rounds} rounds in {time.time() - begin:.0f} s; the Alertmanager told of "
          + ", ".join(f"{name} ({path})" for path, name in sorted(told)))
    texts = [str(alert["annotations"]) for _, _, alert in stage.receiver.received]
    check(not [one for one in texts if "<no value>" in one or "<error" in one], "every text was complete")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", required=True)
    arguments.add_argument("--minutes", type=float, default=0)
    arguments = arguments.parse_args()
    # Whoever ends this ends what it has started.
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda number, _: sys.exit(f"ended by {signal.Signals(number).name}"))
    with tempfile.TemporaryDirectory(prefix="avail-outage-") as folder:
        stage = Stage(str(pathlib.Path(arguments.binary).resolve()), pathlib.Path(folder))
        try:
            run(stage, arguments.minutes)
        except BaseException:
            for one in stage.programs():
                print(f"--- {one.name} said last:\n" + "\n".join(one.said().splitlines()[-15:]))
            raise
        finally:
            stage.end()


if __name__ == "__main__":
    main()
