"""A city to find one's way in: corners, roads, landmarks that are seen from near, a goal told by them alone.

Source: Zeng et al. 2024 (PReP), arXiv 2408.04168: goal-directed navigation without instructions. Deviations:
streets are drawn from a seed, and what is seen is said in words, roughly: eight directions, fifty metres.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from agent.types import Observation, Task, ToolSpec
from agent.worlds.site import check_name
from memory.errors import BadInput, WorldError
from memory.types import Json, ToolCall

SIDE = 7
"""Corners along each side of a city."""
BLOCK = 100.0
"""Metres between corners, about."""
SIGHT = 180.0
"""Metres from which a landmark is seen."""
MAX_STEPS = 40
_CLOSED = 0.25
"""Share of roads that are left out, as far as everything can still be reached."""
_LANDMARKS = ("clock tower", "old mill", "glass bridge", "town hall", "lighthouse")
_WAYS: Mapping[str, tuple[int, int]] = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}
_WINDS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
WALK = ToolSpec(
    "walk",
    "Walk along a road from this corner to the next.",
    {
        "type": "object",
        "properties": {"way": {"enum": list(_WAYS)}},
        "required": ["way"],
        "additionalProperties": False,
    },
)
Corner = tuple[int, int]


@dataclass(frozen=True, slots=True)
class City:
    """Corners with their places in metres, the roads between them, and where landmarks stand."""

    places: Mapping[Corner, tuple[float, float]]
    roads: frozenset[tuple[Corner, str]]
    landmarks: Mapping[str, Corner]

    def from_to(self, one: Corner, other: Corner) -> tuple[float, float]:
        """Metres east and north."""
        (x, y), (to_x, to_y) = self.places[one], self.places[other]
        return to_x - x, to_y - y

    def far(self, one: Corner, other: Corner) -> float:
        """Metres as the crow flies."""
        return math.hypot(*self.from_to(one, other))

    def ways(self, corner: Corner) -> tuple[str, ...]:
        """Roads from here."""
        return tuple(way for way in _WAYS if (corner, way) in self.roads)

    def route(self, start: Corner, goal: Corner) -> tuple[str, ...]:
        """A shortest way, in metres."""
        queue: list[tuple[float, Corner, tuple[str, ...]]] = [(0.0, start, ())]
        seen: set[Corner] = set()
        while queue:
            metres, corner, ways = heapq.heappop(queue)
            if corner == goal:
                return ways
            if corner not in seen:
                seen.add(corner)
                for way in self.ways(corner):
                    there = beyond(corner, way)
                    heapq.heappush(queue, (metres + self.far(corner, there), there, (*ways, way)))
        raise WorldError(f"no road leads from {start} to {goal}")


def beyond(corner: Corner, way: str) -> Corner:
    """The next corner that way."""
    return corner[0] + _WAYS[way][0], corner[1] + _WAYS[way][1]


def make_city(name: str) -> City:
    """The city of that name: the same one always."""
    rng = random.Random(f"city/{name}")
    corners = [(x, y) for x in range(SIDE) for y in range(SIDE)]
    places = {
        corner: (BLOCK * corner[0] + rng.uniform(-20, 20), BLOCK * corner[1] + rng.uniform(-20, 20))
        for corner in corners
    }
    pairs = [(one, way) for one in corners for way in ("north", "east") if beyond(one, way) in places]
    rng.shuffle(pairs)
    wanted = round(len(pairs) * (1 - _CLOSED))
    joined: dict[Corner, Corner] = {}
    kept: list[tuple[Corner, str]] = []
    spare: list[tuple[Corner, str]] = []
    for one, way in pairs:
        ends = _root(joined, one), _root(joined, beyond(one, way))
        (kept if ends[0] != ends[1] else spare).append((one, way))
        if ends[0] != ends[1]:
            joined[ends[0]] = ends[1]
    kept += spare[: max(0, wanted - len(kept))]
    back = {"north": "south", "east": "west"}
    roads = frozenset(kept) | {(beyond(one, way), back[way]) for one, way in kept}
    return City(places, roads, dict(zip(_LANDMARKS, rng.sample(corners, len(_LANDMARKS)), strict=True)))


def _root(joined: Mapping[Corner, Corner], corner: Corner) -> Corner:
    while corner in joined:
        corner = joined[corner]
    return corner


class CityCatalogue:
    """Ways to be found in cities; a site is a city."""

    name = "city"

    def tasks(self, *, site: str, split: str, n: int, seed: int = 0) -> tuple[Task, ...]:
        """`n` ways of at least four blocks. Raises BadInput on an unknown split, or when there are fewer."""
        if split not in ("work", "gate"):
            raise BadInput(f"a city has no split {split!r}; it has work, gate")
        made = list(self.all(site))
        random.Random(f"{site}/{seed}").shuffle(made)
        found = [task for task in made if (int(task.id[-2:], 16) % 4 == 0) == (split == "gate")]
        if not 1 <= n <= len(found):
            raise BadInput(f"n is {n}; {site!r} has {len(found)} tasks in split {split!r}")
        return tuple(found[:n])

    def all(self, site: str) -> tuple[Task, ...]:
        """Every way of a city. Raises BadInput on a name no city can have."""
        city = make_city(check_name(site))
        pairs = [(a, b) for a in city.places for b in city.places if city.far(a, b) >= 4 * BLOCK]
        return tuple(_task(site, city, start, goal) for start, goal in pairs)

    def task(self, config: Mapping[str, Json]) -> Task:
        """The task of one configuration: site, start, goal. Raises BadInput."""
        return _task(*_read(config))

    def split_of(self, task: Task) -> str:
        """The split that a task belongs to. Raises BadInput."""
        return "gate" if int(self.task(task.config).id[-2:], 16) % 4 == 0 else "work"

    def make(self) -> CityWorld:
        """A fresh world."""
        return CityWorld()


class CityWorld:
    """One way to be found; implements World, Snapshots and Expert."""

    def __init__(self) -> None:
        self._city: City | None = None
        self._at = self._goal = (0, 0)

    def tools(self) -> tuple[ToolSpec, ...]:
        """The one tool `walk`."""
        return (WALK,)

    async def reset(self, task: Task) -> Observation:
        """Start the task. Raises BadInput when its configuration is none of a city."""
        _, self._city, self._at, self._goal = _read(task.config)
        return Observation(self._seen(self._city))

    async def step(self, call: ToolCall) -> Observation:
        """Walk one road. Raises WorldError without a task, or when it is over."""
        city, way = self._running(), str(call.arguments.get("way"))
        if self._at == self._goal:
            raise WorldError("the task is over; call reset first")
        if call.name != WALK.name:
            return Observation(f"there is no tool {call.name!r}; use walk(way)", ok=False)
        if way not in city.ways(self._at):
            return Observation(f"No road leads {way} from here; walk(way) one of those told.", ok=False)
        metres = city.far(self._at, beyond(self._at, way))
        self._at = beyond(self._at, way)
        text = f"You walk {round(metres, -1):.0f} metres {way}. {self._seen(city)}"
        if self._at == self._goal:
            return Observation(f"{text} Here is the fountain.", True, True, "success")
        return Observation(text, ok=True)

    def snapshot(self) -> Json:
        """The corner."""
        return [*self._at]

    def restore(self, task: Task, snapshot: Json) -> None:
        """Back to a corner of the same task."""
        _, self._city, _, self._goal = _read(task.config)
        self._at = _corner(snapshot, self._city)

    def expert(self) -> tuple[str, ...]:
        """The next road on a shortest way."""
        return self._running().route(self._at, self._goal)[:1]

    def _seen(self, city: City) -> str:
        roads = ", ".join(city.ways(self._at))
        sights = [
            f"the {name} {_rough(*city.from_to(self._at, place))}"
            for name, place in city.landmarks.items()
            if city.far(self._at, place) <= SIGHT
        ]
        corner = f"corner {self._at[0] * SIDE + self._at[1]}"
        return f"You are at {corner}. Roads lead {roads}. You see {'; '.join(sights) or 'no landmark'}."

    def _running(self) -> City:
        if self._city is None:
            raise WorldError("no task is running; call reset first")
        return self._city


def _task(site: str, city: City, start: Corner, goal: Corner) -> Task:
    config: dict[str, Json] = {"site": site, "start": [*start], "goal": [*goal]}
    digest = hashlib.sha256(json.dumps(["city", config], sort_keys=True).encode()).hexdigest()[:16]
    near = sorted(city.landmarks, key=lambda name: city.far(city.landmarks[name], goal))[:3]
    told = "; ".join(f"{_offset(*city.from_to(city.landmarks[one], goal))} of the {one}" for one in near)
    text = f"Walk to the fountain. It stands {told}."
    return Task(f"city-{digest}", text, "city", site, config, MAX_STEPS)


def _offset(east: float, north: float) -> str:
    across = f"{abs(round(east, -1)):.0f} metres {'east' if east >= 0 else 'west'}"
    return f"{across} and {abs(round(north, -1)):.0f} metres {'north' if north >= 0 else 'south'}"


def _rough(east: float, north: float) -> str:
    metres = 50 * round(math.hypot(east, north) / 50)
    wind = _WINDS[round(math.atan2(north, east) / (math.pi / 4)) % 8]
    return f"{metres} metres to the {wind}" if metres else "right here"


def _read(config: Mapping[str, Json]) -> tuple[str, City, Corner, Corner]:
    site = check_name(str(config.get("site", "")))
    city = make_city(site)
    return site, city, _corner(config.get("start"), city), _corner(config.get("goal"), city)


def _corner(value: Json, city: City) -> Corner:
    match value:
        case [int(x), int(y)] if (x, y) in city.places:
            return x, y
    raise BadInput(f"{value!r} is no corner; it is [x, y], each 0 to {SIDE - 1}")
