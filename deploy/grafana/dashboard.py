#!/usr/bin/env python3
"""Writes the dashboard: deploy/grafana/dashboard.py > deploy/grafana/avail.json

A dashboard's JSON is read by nobody; this is. scripts/deploy-checks sees that the two agree.
"""

import json
import sys

# What every query is narrowed to. Whatever is not chosen matches, also where the label is missing.
SERVICE = 'namespace=~"$namespace", job=~"$job"'
COMPONENT = SERVICE + ', component=~"$component"'
BREAKER = SERVICE + ', name=~"$component"'
# The system is the component "".
AND_SYSTEM = SERVICE + ', component=~"$component|"'

GREEN, YELLOW, ORANGE, RED, GREY = "green", "yellow", "orange", "red", "text"
STATUS = {0: ("healthy", GREEN), 1: ("degraded", YELLOW), 2: ("unknown", GREY), 3: ("unhealthy", RED)}
STATE = {0: ("closed", GREEN), 1: ("half open", YELLOW), 2: ("open", RED)}
SERVING = {0: ("does not serve", RED), 1: ("serves", GREEN)}

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def query(expr, legend):
    return {"expr": expr, "legendFormat": legend}


def panel(kind, title, about, queries, unit="short", width=8, height=8, **field):
    """`field` goes into the defaults of its fields: thresholds, mappings, limits."""
    targets = [
        {"refId": chr(ord("A") + at), "datasource": DATASOURCE, **one}
        for at, one in enumerate(queries)
    ]
    if kind in ("stat", "table"):
        for one in targets:
            one["instant"] = True
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, **field}, "overrides": []},
        "options": OPTIONS.get(kind, {}),
        "gridPos": {"w": width, "h": height},
    }


OPTIONS = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "state-timeline": {"showValue": "never", "mergeValues": True, "rowHeight": 0.8},
}


def over_time(title, about, queries, **more):
    return panel("timeseries", title, about, queries, **more)


def states(title, about, queries, names, **more):
    options = {str(value): {"text": text, "color": color} for value, (text, color) in names.items()}
    mappings = [{"type": "value", "options": options}]
    return panel("state-timeline", title, about, queries, mappings=mappings, **more)


def number(title, about, expr, unit, steps=None, legend="{{job}}", **more):
    steps = steps or [(None, GREEN)]
    thresholds = {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in steps]}
    return panel(
        "stat", title, about, [query(expr, legend)], unit, 6, 4, thresholds=thresholds, **more
    )


def rate(metric, labels, by):
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def increase(metric, labels, by):
    return f"sum by ({by}) (increase({metric}{{{labels}}}[$__rate_interval]))"


def one_hot(metric, labels, key, weights, by):
    """One number of a metric that has a series for each state."""
    parts = [f'{weight} * {metric}{{{labels}, {key}="{state}"}}' for state, weight in weights]
    return f"max by ({by}) (" + f" + ignoring ({key}) ".join(parts) + ")"


SERVICE_ROW = [
    number(
        "Replicas that serve",
        "Ready, and scraped.",
        f"service:avail_replicas_serving:sum{{{SERVICE}}}",
        "short",
        [(None, RED), (1, GREEN)],
    ),
    number(
        "Availability in the time shown",
        "The part of the time in which any replica served.",
        f"avg_over_time(service:avail_serving:max{{{SERVICE}}}[$__range])",
        "percentunit",
        decimals=3,
    ),
    number(
        "Objective",
        "What the service exports as its target.",
        f"service:avail_objective:ratio{{{SERVICE}}}",
        "percentunit",
        decimals=3,
    ),
    number(
        "Error budget left",
        "Of the last 30 days; negative where more was spent.",
        f'1 - service:avail_burn_rate:ratio{{{SERVICE}, window="30d"}}',
        "percentunit",
        [(None, RED), (0, ORANGE), (0.25, GREEN)],
        decimals=1,
    ),
    over_time(
        "Availability of the service",
        "The part of each window in which any replica served.",
        [query(f'service:avail_availability:ratio{{{SERVICE}, window=~"1h|1d|30d"}}', "{{job}} {{window}}"),
         query(f"service:avail_objective:ratio{{{SERVICE}}}", "{{job}} objective")],
        unit="percentunit",
        max=1,
    ),
    over_time(
        "Burn rate of the service",
        "1: the budget lasts just as long as its window. 14.4 over 1 h pages, and so does 6 over 6 h.",
        [query(f"service:avail_burn_rate:ratio{{{SERVICE}}}", "{{job}} {{window}}")],
        min=0,
    ),
    states(
        "Replicas",
        "Whether each replica serves.",
        [query(f"instance:avail_serving:bool{{{SERVICE}}}", "{{job}} {{instance}}")],
        SERVING,
    ),
    over_time(
        "Alerts",
        "How many of each are pending or firing.",
        [query(f'count by (alertname, alertstate) (ALERTS{{{SERVICE}, alertname=~"Avail.+"}})',
               "{{alertname}} {{alertstate}}")],
        width=12,
        height=6,
        min=0,
    ),
    over_time(
        "Ready, live and draining replicas",
        "As /readiness and /liveness say it.",
        [query(f"sum by (job) (avail_{what}{{{SERVICE}}})", "{{job}} " + what)
         for what in ("ready", "live", "draining")],
        width=12,
        height=6,
        min=0,
    ),
]

COMPONENT_ROW = [
    states(
        "Status of components",
        "The worst over all replicas.",
        [query(
            one_hot("avail_component_status", COMPONENT, "status",
                    [("degraded", 1), ("unknown", 2), ("unhealthy", 3)], "job, component"),
            "{{job}} {{component}}",
        )],
        STATUS,
        width=12,
    ),
    over_time(
        "Availability of components, $window",
        "As the replicas' own histories say it; the lowest. The name of the system is empty.",
        [query(f'min by (job, component) (avail_availability_ratio{{{AND_SYSTEM}, window="$window"}})',
               "{{job}} {{component}}")],
        unit="percentunit",
        width=12,
        max=1,
    ),
    over_time(
        "Availability of components over all replicas, 1 h",
        "The part of the replicas' time in which each component was up, as it was scraped.",
        [query(f'component:avail_availability:ratio{{{COMPONENT}, window="1h"}}',
               "{{job}} {{component}}")],
        unit="percentunit",
        max=1,
    ),
    over_time(
        "Error budget left",
        "Of each objective's own window, on the replica that has least. 0 is where it is missed.",
        [query(f"min by (job, component) (avail_error_budget_remaining_ratio{{{AND_SYSTEM}}})",
               "{{job}} {{component}}")],
        unit="percentunit",
        max=1,
    ),
    over_time(
        "Burn rate of components",
        "Of those that declare an objective, over all replicas.",
        [query(f'component:avail_burn_rate:ratio{{{COMPONENT}, window=~"5m|1h|6h"}}', "{{job}} {{component}} {{window}}")],
        min=0,
    ),
    over_time(
        "Burn rate, as each replica sees it",
        "The highest over all replicas, of what each has observed.",
        [query(f'max by (job, component, window) (avail_burn_rate{{{AND_SYSTEM}, window=~"5m|1h|6h"}})',
               "{{job}} {{component}} {{window}}")],
        min=0,
    ),
    over_time(
        "Observed part of the window, $window",
        "How much of it the availability speaks of, on the replica that has seen least.",
        [query(f'min by (job, component) (avail_coverage_ratio{{{AND_SYSTEM}, window="$window"}})',
               "{{job}} {{component}}")],
        unit="percentunit",
        max=1,
        min=0,
    ),
    over_time(
        "Flapping and maintenance",
        "Replicas where a component changes too often, or is in announced maintenance.",
        [query(f"sum by (job, component) (avail_component_{what}{{{COMPONENT}}})",
               "{{job}} {{component}} " + what) for what in ("flapping", "maintenance")],
        min=0,
    ),
]

INCIDENT_ROW = [
    over_time(
        "Open incidents",
        "By component, over all replicas.",
        [query(f"sum by (job, component) (avail_incidents_open{{{COMPONENT}}})", "{{job}} {{component}}")],
        min=0,
    ),
    over_time(
        "Incidents that began",
        "Their frequency, by component and severity.",
        [query(increase("avail_incidents_total", COMPONENT, "job, component, severity"),
               "{{job}} {{component}} {{severity}}")],
        min=0,
    ),
    over_time(
        "Down time in the last hour",
        "How much incidents have cost, on average over the replicas.",
        [query(f'3600 * (1 - component:avail_availability:ratio{{{COMPONENT}, window="1h"}})',
               "{{job}} {{component}}")],
        unit="s",
        min=0,
    ),
    over_time(
        "Mean time between failures, $window",
        "On average over the replicas; nothing where nothing has failed.",
        [query(f'avg by (job, component) (avail_mtbf_seconds{{{AND_SYSTEM}, window="$window"}})',
               "{{job}} {{component}}")],
        unit="s",
        width=12,
        min=0,
    ),
    over_time(
        "Mean time to recovery, $window",
        "How long an incident takes, on average over the replicas; nothing where none has ended.",
        [query(f'avg by (job, component) (avail_mttr_seconds{{{AND_SYSTEM}, window="$window"}})',
               "{{job}} {{component}}")],
        unit="s",
        width=12,
        min=0,
    ),
]

BREAKER_ROW = [
    states(
        "Circuit breakers",
        "The worst state over all replicas.",
        [query(
            one_hot("avail_circuit_breaker_state", BREAKER, "state",
                    [("half_open", 1), ("open", 2)], "job, name"),
            "{{job}} {{name}}",
        )],
        STATE,
    ),
    over_time(
        "Calls through breakers",
        "A second, by how they ended.",
        [query(rate("avail_circuit_breaker_calls_total", BREAKER, "job, name, outcome") + " > 0",
               "{{job}} {{name}} {{outcome}}")],
        unit="ops",
        min=0,
    ),
    over_time(
        "Rejected calls",
        "A second, and why.",
        [query(rate("avail_circuit_breaker_rejected_total", BREAKER, "job, name, reason"),
               "{{job}} {{name}} {{reason}}")],
        unit="ops",
        min=0,
    ),
    over_time(
        "Changes of state",
        "How often breakers opened and closed.",
        [query(increase("avail_circuit_breaker_transitions_total", BREAKER, "job, name, from, to"),
               "{{job}} {{name}} {{from}} to {{to}}")],
        min=0,
        width=12,
    ),
    over_time(
        "Replicas by mode of their breakers",
        "on, shadow or off.",
        [query(f"sum by (job, mode) (avail_breakers_mode{{{SERVICE}}})", "{{job}} {{mode}}")],
        min=0,
        width=12,
    ),
]

CHECK_ROW = [
    over_time(
        "Runs of checks",
        "A second, by how they ended.",
        [query(rate("avail_check_runs_total", COMPONENT, "job, component, result") + " > 0",
               "{{job}} {{component}} {{result}}")],
        unit="ops",
        min=0,
    ),
    over_time(
        "How long checks take",
        "The 99th percentile, over all replicas.",
        [query("histogram_quantile(0.99, "
               + rate("avail_check_duration_seconds_bucket", COMPONENT, "job, component, le") + ")",
               "{{job}} {{component}}")],
        unit="s",
        min=0,
    ),
    over_time(
        "Since a check last ended well",
        "On the replica where it is longest.",
        [query(f"max by (job, component) (time() - avail_check_last_success_timestamp_seconds{{{COMPONENT}}})",
               "{{job}} {{component}}")],
        unit="s",
        min=0,
    ),
    over_time(
        "Faults of the history",
        "Failed writes, lost records, and lines that were found damaged at the start.",
        [query(f"sum by (job) (avail_history_{what}_total{{{SERVICE}}})", "{{job}} " + what)
         for what in ("write_errors", "dropped_records", "corrupt_records")],
        width=12,
        height=6,
        min=0,
    ),
    over_time(
        "Versions of avail",
        "Replicas that run each.",
        [query(f"count by (job, version) (avail_build_info{{{SERVICE}}})", "{{job}} {{version}}")],
        width=12,
        height=6,
        min=0,
    ),
]

ROWS = [
    ("Services", SERVICE_ROW),
    ("Components", COMPONENT_ROW),
    ("Incidents", INCIDENT_ROW),
    ("Circuit breakers", BREAKER_ROW),
    ("Checks", CHECK_ROW),
]


def label(name, metric, all_value):
    """A variable of the values of a label; All is chosen at first."""
    return {
        "name": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f"label_values({metric}, {name})", "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": all_value,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def variables():
    windows = ["24h", "7d", "30d", "all_time"]
    options = [{"text": one, "value": one, "selected": one == "30d"} for one in windows]
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        label("namespace", "avail_build_info", ".*"),
        label("job", 'avail_build_info{namespace=~"$namespace"}', ".+"),
        label("component", f"avail_component_status{{{SERVICE}}}", ".+"),
        {"name": "window", "type": "custom", "query": ",".join(windows), "options": options,
         "current": {"text": "30d", "value": "30d"}},
    ]


def laid_out():
    """Every row and panel with its place: from the left to the right, and down."""
    top, placed = 0, []
    for title, panels in ROWS:
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        placed.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place})
        top, left, height = top + 1, 0, 0
        for one in panels:
            if left + one["gridPos"]["w"] > 24:
                top, left, height = top + height, 0, 0
            one["gridPos"].update(x=left, y=top)
            left, height = left + one["gridPos"]["w"], max(height, one["gridPos"]["h"])
            placed.append(one)
        top += height
    return [{"id": at, **one} for at, one in enumerate(placed, 1)]


def dashboard():
    return {
        "uid": "avail",
        "title": "Availability",
        "description": "Services that are watched by avail. docs/prometheus.md says what each figure is.",
        "tags": ["avail"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "panels": laid_out(),
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=2)
    print()
