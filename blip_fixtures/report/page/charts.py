"""The charts as Vega-Lite has them. Data, width and colours come from the page: it knows filters, window and theme.

A chart's rows have fields with names of the page's own, so that no text of a record is ever a field, an expression or a
format. `series` is the optimization: its colour and its shape come from the page's ranges, in one order for all charts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blip_fixtures.report.page.points import TimeUnit
    from blip_fixtures.report.prose import Prose

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
# Quality over latency and energy, memory over latency: (x, y) by the name of the chart.
PARETO_AXES = {
    "latency_quality": ("latency", "quality"),
    "energy_quality": ("energy", "quality"),
    "latency_memory": ("latency", "memory"),
}
_POINT_SIZE = 110


def charts(unit: TimeUnit, prose: Prose) -> dict[str, Spec]:
    """All of them by name."""
    found = {name: _pareto(*axes, unit, prose) for name, axes in PARETO_AXES.items()}
    return found | {
        "phases": _phases(unit, prose),
        "throughput": _throughput(prose),
        "rounds": _strip("seconds", _title("rounds", unit, prose), 190, prose),
        "reference": _strip("reference", prose.say("page_axis_reference"), 160, prose),
        "history": _history(prose),
    }


def _title(name: str, unit: TimeUnit, prose: Prose) -> str:
    return prose.say(f"page_axis_{name}", unit=unit.name)


def _chart(height: int, **parts: Any) -> Spec:
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"name": "rows"},
        "params": [{"name": "grey", "value": "#888"}, {"name": "ink", "value": "#000"}],
        **parts,
    }


def _quantity(field: str, title: str | None = None, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", **({"title": title} if title is not None else {}), **more}


def _series(**more: Any) -> Spec:
    return {"field": "series", "type": "nominal", "title": None, "legend": {"orient": "bottom"}, **more}


def _pareto(x: str, y: str, unit: TimeUnit, prose: Prose) -> Spec:
    """Points with their intervals; those that another one beats are grey."""
    scale = {"zero": False, "nice": False, "padding": 26}
    axes = {
        "x": _quantity("x", _title(x, unit, prose), scale=scale),
        "y": _quantity("y", _title(y, unit, prose), scale=scale),
    }
    colour = {
        "condition": {"test": "datum.beaten", "value": {"expr": "grey"}},
        **_series(),
    }
    return _chart(
        400,
        encoding=axes,
        layer=[
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.55},
                "encoding": {"x": {"field": "xLow"}, "x2": {"field": "xHigh"}, "color": colour},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.55},
                "encoding": {"y": {"field": "yLow"}, "y2": {"field": "yHigh"}, "color": colour},
            },
            {
                "mark": {"type": "point", "filled": True, "size": _POINT_SIZE, "opacity": 1, "cursor": "pointer"},
                "encoding": {"color": colour, "shape": _series(), "tooltip": {"field": "tip"}},
            },
            {
                "mark": {
                    "type": "text",
                    "align": "left",
                    "dx": 10,
                    "dy": {"expr": "datum.lift"},
                    "color": {"expr": "datum.beaten ? grey : ink"},
                    "limit": 170,
                },
                "encoding": {"text": {"field": "caption"}},
            },
        ],
    )


def _phases(unit: TimeUnit, prose: Prose) -> Spec:
    """A stacked bar for each case, and a tick where the machine's limit is."""
    row = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    phases = {"field": "phase", "type": "nominal", "sort": None, "title": None, "legend": {"orient": "bottom"}}
    return _chart(
        200,
        encoding={"y": row},
        layer=[
            {
                "mark": {"type": "bar", "cursor": "pointer", "strokeWidth": 1},
                "encoding": {
                    "x": _quantity("part", _title("phases", unit, prose), stack="zero"),
                    "color": phases,
                    "order": {"field": "place"},
                    "tooltip": {"field": "tip"},
                },
            },
            {
                "transform": [{"filter": "datum.place == 0 && isValid(datum.limit)"}],
                "mark": {"type": "tick", "thickness": 3, "color": {"expr": "ink"}},
                "encoding": {"x": _quantity("limit"), "tooltip": {"field": "limitTip"}},
            },
        ],
    )


def _throughput(prose: Prose) -> Spec:
    """Samples a second over the batch, a line for each series of cases."""
    return _chart(
        300,
        encoding={
            "x": {
                "field": "batch",
                "type": "ordinal",
                "title": prose.say("page_axis_batch"),
                "axis": {"labelAngle": 0},
            },
            "y": _quantity("y", prose.say("page_axis_throughput"), scale={"zero": True}),
            "color": _series(),
        },
        layer=[
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"detail": {"field": "group"}}},
            {
                "mark": {"type": "point", "filled": True, "size": _POINT_SIZE, "opacity": 1, "cursor": "pointer"},
                "encoding": {"shape": _series(), "tooltip": {"field": "tip"}},
            },
        ],
    )


def _strip(field: str, title: str, height: int, prose: Prose) -> Spec:
    """The rounds of one case in their order, with their median."""
    process = {"field": "process", "type": "nominal", "title": None, "legend": None}
    return _chart(
        height,
        layer=[
            {
                "mark": {"type": "rule", "strokeDash": [4, 4], "color": {"expr": "grey"}},
                "encoding": {"y": _quantity(field, title, aggregate="median")},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 45, "opacity": 0.9},
                "encoding": {
                    "x": _quantity(
                        "round",
                        prose.say("page_axis_round"),
                        axis={"tickMinStep": 1, "format": "d"},
                        scale={"zero": False, "padding": 10},
                    ),
                    "y": _quantity(field, title, scale={"zero": False}),
                    "color": process,
                    "shape": process,
                    "tooltip": {"field": "tip"},
                },
            },
        ],
    )


def _history(prose: Prose) -> Spec:
    """Processes over their commits, the band of each stretch between two changes, and a rule at each change."""
    run = _quantity(
        "run", prose.say("page_axis_run"), axis={"tickMinStep": 1, "format": "d"}, scale={"nice": False, "padding": 14}
    )
    return _chart(
        320,
        encoding={"x": run},
        layer=[
            {
                "transform": [{"filter": "datum.kind == 'band'"}],
                "mark": {"type": "rect", "opacity": 0.18},
                "encoding": {"x2": {"field": "last"}, "y": _quantity("low"), "y2": {"field": "high"}},
            },
            {
                "transform": [{"filter": "datum.kind == 'band'"}],
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.8},
                "encoding": {"x2": {"field": "last"}, "y": _quantity("middle")},
            },
            {
                "transform": [{"filter": "datum.kind == 'change'"}],
                "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2, "color": {"expr": "ink"}},
                "encoding": {"tooltip": {"field": "tip"}},
            },
            {
                "transform": [{"filter": "datum.kind == 'commit'"}],
                "mark": {
                    "type": "text",
                    "baseline": "top",
                    "font": "monospace",
                    "fontSize": 11,
                    "color": {"expr": "ink"},
                },
                "encoding": {"y": {"value": 2}, "text": {"field": "text"}},
            },
            {
                "transform": [{"filter": "datum.kind == 'run'"}],
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {
                    "y": _quantity("value", "", scale={"zero": False, "padding": 24}),
                    "shape": {
                        "condition": {"test": "datum.now", "value": "diamond"},
                        "value": "circle",
                    },
                    "size": {"condition": {"test": "datum.now", "value": 150}, "value": 60},
                    "tooltip": {"field": "tip"},
                },
            },
        ],
    )
