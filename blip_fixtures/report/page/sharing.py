"""What many points of a page have in common, once each: the page puts it back when it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blip_fixtures.report.page.points import Plain


def share_alike(points: Sequence[Plain]) -> Plain:
    """Sentences, phrases of axes, facts of machines, and environments of records, taken out of the points.

    A point then has the place in a list, and other points are named by their places.
    """
    shared: dict[str, list[Any]] = {"texts": [], "machines": [], "environments": []}
    phrases: dict[str, dict[str, str]] = {}
    places = {point["id"]: place for place, point in enumerate(points)}

    def place_in(name: str, value: Any) -> int:
        if value not in shared[name]:
            shared[name].append(value)
        return shared[name].index(value)

    for point in points:
        for figure in point["figures"].values():
            figure |= {name: place_in("texts", figure[name]) for name in ("reason", "caveat") if name in figure}
        point["reasons"] = [[path, place_in("texts", why)] for path, why in point["reasons"]]
        point["proof"] = place_in("texts", point["proof"])
        point["beaten"] = {chart: [places[name] for name in names] for chart, names in point["beaten"].items()}
        point["machine"] = place_in("machines", point["machine"])
        point["environment"] = place_in("environments", point["record"].pop("environment", {}))
        for axis, phrase in point.pop("phrases").items():
            phrases.setdefault(axis, {})[point["axes"][axis]] = phrase
    return {**shared, "phrases": phrases}
