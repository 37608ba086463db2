#!/usr/bin/env python3
"""Whether deploy/grafana/avail.json is what dashboard.py writes, and one that Grafana can show."""

import json
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy/grafana"


def faults(board):
    panels = board["panels"]
    if len({one["id"] for one in panels}) != len(panels):
        yield "two panels have one id"
    names = {one["name"] for one in board["templating"]["list"]}
    # Those that Grafana itself knows begin with two underlines, and the data source's stands alone.
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(panels)))
    if used - names:
        yield f"variables that nobody has declared: {used - names}"
    if names - used - {"datasource"}:
        yield f"variables that nobody uses: {names - used}"
    taken = {}
    for one in panels:
        place = one["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"`{one['title']}` is wider than the page"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), one["title"])
                if other != one["title"]:
                    yield f"`{one['title']}` lies on `{other}`"
        if one["type"] != "row" and not one["targets"]:
            yield f"`{one['title']}` asks for nothing"
        for target in one.get("targets", []):
            if target["datasource"]["uid"] != "${datasource}":
                yield f"`{one['title']}` asks a data source of its own"


def main():
    text = (FOLDER / "avail.json").read_text()
    written = subprocess.run(
        [sys.executable, FOLDER / "dashboard.py"], capture_output=True, text=True, check=True
    )
    if text != written.stdout:
        sys.exit("FAILED: avail.json is not what dashboard.py writes; write it anew")
    board = json.loads(text)
    found = sorted(set(faults(board)))
    if found:
        sys.exit("FAILED: " + "; ".join(found))
    print(f"{sum(one['type'] != 'row' for one in board['panels'])} panels, "
          f"{sum(len(one.get('targets', [])) for one in board['panels'])} queries")


if __name__ == "__main__":
    main()
