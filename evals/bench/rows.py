"""The rows of docs/benchmarks.md, in one form for all benchmarks: each declares its rows, and prints them."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

HEAD = "| what | unit | ours | peer | ours / peer | from - to | N |\n| --- | --- | --- | --- | --- | --- | --- |"


class Row(NamedTuple):
    """A figure of a benchmark: its name and unit, the peer that is measured in the same run ("" if there is none), and
    what the figure means and does not."""

    name: str
    unit: str
    peer: str
    means: str

    @property
    def start(self) -> str:
        """How its line begins."""
        return f"| {self.name} | {self.unit} |"

    def tell(self, ours: Sequence[float], peers: Sequence[float] = ()) -> None:
        """Print its line: medians, and the ratio of pairs with its spread; without a peer, the spread of ours."""
        ratios = [one / other for one, other in zip(ours, peers, strict=True)] if peers else []
        peer = f"{figure(statistics.median(peers))} ({self.peer})" if peers else ""
        ratio = figure(statistics.median(ratios)) if ratios else ""
        spread = f"{figure(min(ratios or ours))} - {figure(max(ratios or ours))}" if len(ours) > 1 else ""
        print(f"{self.start} {figure(statistics.median(ours))} | {peer} | {ratio} | {spread} | {len(ours)} |")


def figure(value: float) -> str:
    """Three digits, and all before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.5f}"
