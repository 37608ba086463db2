"""What the dashboard asks for, as Grafana would ask it."""

import json

# As if everything was chosen.
ALL = {"$namespace": ".*", "$job": ".+", "$component": ".+"}


def queries(dashboard, variables):
    """The title of the panel and the expression, for each of its queries."""
    found = []
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"]
            # The longest first: `$window` and what might begin with it.
            for name, value in sorted({**ALL, **variables}.items(), key=lambda one: -len(one[0])):
                expr = expr.replace(name, value)
            if "$" in expr:
                raise SystemExit(f"FAILED: {panel['title']} has a variable that nobody knows: {expr}")
            found.append((panel["title"], expr))
    return found


def variables(dashboard):
    """Name, selector and label, for each variable that asks Prometheus for its values."""
    found = []
    for one in json.loads(dashboard.read_text())["templating"]["list"]:
        if one["type"] == "query":
            selector, label = one["query"]["query"].removeprefix("label_values(")[:-1].rsplit(", ", 1)
            for name, value in ALL.items():
                selector = selector.replace(name, value)
            found.append((one["name"], selector, label))
    return found
