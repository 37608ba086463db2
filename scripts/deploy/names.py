#!/usr/bin/env python3
"""Whether each metric that rules, dashboard and documents speak of is one that there is, with the
labels by which they speak of it. Reads what the example exports from its standard input."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPORTED = re.compile(r'^(avail_\w+)(?:\{(.*)\})? ', re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
MENTIONED = re.compile(
    r"(?<![\w/:-])((?:service:|instance:|component:)?avail_[a-z_]+(?::[a-z_0-9]+)?)\b(?:\{([^{}]*)\})?"
)
SELECTED = re.compile(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"')
# What is no metric: the crates, and the folders and files that are called after them.
OTHERS = {"avail_core", "avail_http", "avail_macros"}
# What Prometheus adds to each series.
TARGET = {"cluster", "namespace", "job", "instance", "pod"}


def exported(text):
    """The values of each label, for each metric."""
    found = {}
    for name, labels in EXPORTED.findall(text):
        values = found.setdefault(name, {})
        for label, value in LABEL.findall(labels):
            values.setdefault(label, set()).add(value)
    return found


def families(text):
    """A histogram's own name is that of no series: documents may speak of it, and no query."""
    return set(re.findall(r"^# TYPE (\w+) histogram", text, re.MULTILINE))


def recorded():
    """The series of the recording rules; their labels are looked at by promtool's tests."""
    text = (ROOT / "deploy/prometheus/avail.recording.yml").read_text()
    return set(re.findall(r"record: (\S+)", text))


def places():
    """Each file that speaks of metrics, and what it says."""
    for path in sorted((ROOT / "deploy/prometheus").glob("**/*.yml")):
        yield path, path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        yield path, path.read_text()
    path = ROOT / "deploy/grafana/avail.json"
    board = json.loads(path.read_text())
    exprs = [one["expr"] for panel in board["panels"] for one in panel.get("targets", [])]
    exprs += [str(one.get("query")) for one in board["templating"]["list"]]
    yield path, "\n".join(exprs)


def wrong_labels(labels, selectors, is_example):
    """Labels that it does not have; values that it can't have, where the example has them all."""
    for label, operator, value in SELECTED.findall(selectors or ""):
        if label in TARGET:
            continue
        if label not in labels:
            yield f"has no label `{label}`"
        # Names are up to each service; the others are a closed list.
        elif label not in ("component", "name") and operator == "=" and not is_example:
            if "$" not in value and value not in labels[label]:
                yield f'has no {label}="{value}"'


def main():
    text = sys.stdin.read()
    known, histograms, rules = exported(text), families(text), recorded()
    if len(known) < 30:
        sys.exit(f"FAILED: the example exports only {len(known)} metrics")
    mentioned, wrong = 0, []
    for path, text in places():
        for name, selectors in MENTIONED.findall(text):
            if name in OTHERS:
                continue
            mentioned += 1
            here = f"{path.relative_to(ROOT)}: {name}"
            if ":" in name:
                wrong += [] if name in rules else [f"{here} is recorded nowhere"]
            elif name in histograms and path.suffix == ".md":
                continue
            elif name not in known:
                wrong.append(f"{here} is exported nowhere")
            else:
                wrong += [f"{here} {why}" for why in wrong_labels(known[name], selectors, "tests" in path.parts)]
    print("\n".join(sorted(set(wrong))), end="\n" if wrong else "")
    print(f"{mentioned} mentions of metrics, of which {len(wrong)} are wrong; {len(known)} are exported")
    sys.exit(1 if wrong or mentioned < 100 else 0)


if __name__ == "__main__":
    main()
