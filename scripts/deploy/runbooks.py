#!/usr/bin/env python3
"""Whether each alert has a summary, a description, a severity, and a chapter in docs/prometheus.md
that its link leads to; and whether each such chapter has its alert."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = "https://github.com/avail-rs/avail/blob/main/docs/prometheus.md#"


def faults(alerts, chapters):
    for text in alerts:
        name = text.split("\n", 1)[0].strip()
        for key in ("summary", "description"):
            if not re.search(rf"^ +{key}: \S", text, re.MULTILINE):
                yield f"{name} has no {key}"
        if not re.search(r"^ +severity: (page|ticket)$", text, re.MULTILINE):
            yield f"{name} has no severity, page or ticket"
        if f"runbook_url: {PAGE}{name.lower()}\n" not in text + "\n":
            yield f"{name} has no link to its chapter"
        if name not in chapters:
            yield f"{name} has no chapter in docs/prometheus.md"
    names = {text.split("\n", 1)[0].strip() for text in alerts}
    yield from (f"the chapter {one} has no alert" for one in chapters - names)


def main():
    rules = (ROOT / "deploy/prometheus/avail.alerts.yml").read_text()
    alerts = rules.split("- alert: ")[1:]
    page = (ROOT / "docs/prometheus.md").read_text()
    chapters = set(re.findall(r"^#+ (Avail\w+)$", page, re.MULTILINE))
    found = list(faults(alerts, chapters))
    if found or not alerts:
        sys.exit("FAILED: " + "; ".join(found or ["there is no alert"]))
    print(f"{len(alerts)} alerts, each with its chapter")


if __name__ == "__main__":
    main()
