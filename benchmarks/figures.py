"""What follows from the times of a row: ratios, shares of peak, distance from the floor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property

from limits import Floor, floor
from rows import Row
from sections import EVEN, ONE_THREAD, PADDED

NOT_PEERS = ("latchwork", ONE_THREAD, PADDED, EVEN)


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


class Figures:
    """Of one record of a section of rows."""

    def __init__(self, record: dict, limits: dict) -> None:
        self.record, self.limits = record, limits
        self.row = Row(**record["row"])
        self.us: dict[str, float] = {name: each["us"] for name, each in record["us"].items()}
        self.ours = self.us["latchwork"]

    @cached_property
    def floor(self) -> Floor:
        return floor(self.row, self.limits)

    @property
    def gflops(self) -> float:
        return self.row.flops / self.ours / 1e3

    @property
    def of_peak(self) -> float:
        return self.gflops / self.limits["fma"]

    @cached_property
    def peers(self) -> dict[str, float]:
        """How many times faster than each."""
        return {name: us / self.ours for name, us in self.us.items() if name not in NOT_PEERS}

    @property
    def best_peer(self) -> float | None:
        return min(self.peers.values(), default=None)

    def spread(self, name: str) -> float:
        """Of the ratio to a contestant: half the distances between both's quartiles, as a factor over 1."""
        return 1 + (self.record["us"]["latchwork"]["spread"] + self.record["us"][name]["spread"]) / 100

    @property
    def speedup(self) -> float | None:
        """Of all threads over one."""
        return self.us[ONE_THREAD] / self.ours if ONE_THREAD in self.us else None

    @property
    def of_padded(self) -> float:
        """Time over (real steps / padded steps) x the padded time: 1 where raggedness costs nothing."""
        return self.ours / (self.us[PADDED] * self.row.real_steps / (self.row.B * self.row.steps))

    @property
    def of_even(self) -> float:
        """Time a real FLOP over that of the neighbour that fills its vectors."""
        return (self.ours / self.row.flops) / (self.us[EVEN] / Row(**self.record["even"]).flops)


def figures_of(record: dict, section: str) -> list[Figures]:
    isa = "avx2" if section == "avx2" else record["isa"]
    return [Figures(each, record["limits"][isa]) for each in record["sections"].get(section, [])]
