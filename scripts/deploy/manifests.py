#!/usr/bin/env python3
"""Whether the manifests fit each other, and the program that they start: ports, labels and paths.
Takes the URL of an example that runs and is ready. Needs PyYAML, which kubernetes-validate brings."""

import pathlib
import sys
import urllib.request

import yaml

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy/kubernetes"
# How long avail drains by default, and lets a connection end after that.
DRAIN = 5 + 1


def manifests():
    found = [yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))]
    return {one["kind"]: one for one in found}


def faults(kinds, url):
    deployment, service = kinds["Deployment"]["spec"], kinds["Service"]["spec"]
    pod = deployment["template"]
    [container] = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"].items()
    for where, selector in {
        "the Deployment": deployment["selector"]["matchLabels"],
        "the Service": service["selector"],
        "the PodDisruptionBudget": kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    }.items():
        if not selector.items() <= labels:
            yield f"{where} selects none of the pods"
    monitor = kinds["ServiceMonitor"]["spec"]
    if not monitor["selector"]["matchLabels"].items() <= kinds["Service"]["metadata"]["labels"].items():
        yield "the ServiceMonitor selects no Service"
    if monitor["jobLabel"] not in kinds["Service"]["metadata"]["labels"]:
        yield "the Service has no label that becomes the job"

    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    listen = next(one["value"] for one in container["env"] if one["name"] == "AVAIL_LISTEN")
    if listen != f"0.0.0.0:{ports['http']}":
        yield f"it listens on {listen}, and its port is {ports['http']}"
    if {one["targetPort"] for one in service["ports"]} - set(ports):
        yield "the Service leads to a port that the pods do not have"
    if {one["port"] for one in monitor["endpoints"]} - {one["name"] for one in service["ports"]}:
        yield "the ServiceMonitor scrapes a port that the Service does not have"

    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[name]
        if probe["httpGet"]["port"] not in ports:
            yield f"the {name} asks a port that the pods do not have"
        if probe["timeoutSeconds"] > probe["periodSeconds"]:
            yield f"the {name} has a timeout longer than its period"
    paths = [container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")]
    for path in [*paths, *(one["path"] for one in monitor["endpoints"])]:
        with urllib.request.urlopen(url + path, timeout=5) as answer:
            if answer.status != 200 or answer.url != url + path:
                yield f"{path} answers {answer.status}, from {answer.url}"
    if pod["spec"]["terminationGracePeriodSeconds"] < 2 * DRAIN:
        yield "what it has to end is killed while it drains"
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    data = container["args"][container["args"].index("--data") + 1]
    if data != mounts["history"] + "/$(HOSTNAME)" or "HOSTNAME" not in {one["name"] for one in container["env"]}:
        yield f"the history is at {data}, and not in its volume by the name of the host"


def main():
    found = list(faults(manifests(), sys.argv[1]))
    if found:
        sys.exit("FAILED: " + "; ".join(found))
    print("ports, labels, paths and times fit each other, and the example answers at each path")


if __name__ == "__main__":
    main()
