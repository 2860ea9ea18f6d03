"""The Grafana board asks for nothing that the server does not tell."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import Metrics
from tests.server.served import Served

BOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "apprentice.json"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def queries() -> dict[str, str]:
    panels = json.loads(BOARD.read_text("utf-8"))["panels"]
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels
        for target in panel.get("targets", ())
    }


def names(query: str) -> set[str]:
    return set(re.findall(r"\bapprentice_[a-z_]+\b", query))


def labels(query: str) -> set[str]:
    told = [*re.findall(r"by \(([^)]*)\)", query), *re.findall(r"\{([^}]*)\}", query)]
    return {re.split(r"[=~!]", one.strip())[0] for part in told for one in part.split(",")} - {"le"}


def test_every_metric_of_the_board_is_served(served: Served) -> None:
    """By its full name, as Prometheus will know it."""
    with served.client("board") as client:
        text = client.get("/metrics").text
    told = {
        family.name + suffix
        for family in text_string_to_metric_families(text)
        for suffix in SUFFIXES[family.type]
    }
    asked = set().union(*map(names, queries().values()))
    assert asked - told == set()


@pytest.mark.parametrize(("title", "query"), queries().items())
def test_every_label_of_the_board_is_one_of_its_metric(title: str, query: str) -> None:
    """A label that is not there would draw an empty panel."""
    known: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            known[metric._name] = set(metric._labelnames)
    for name in names(query):
        base = re.sub(r"_(total|bucket|sum|count)$", "", name)
        assert labels(query) <= known[base], title


def test_panels_do_not_overlap() -> None:
    """Nor share an id."""
    panels = json.loads(BOARD.read_text("utf-8"))["panels"]
    taken = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in panels
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert len({panel["id"] for panel in panels}) == len(panels)
