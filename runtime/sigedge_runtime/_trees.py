"""Boosted regression trees as plain arrays: a learned scorer that needs numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime._records import Record, require

Floats = NDArray[np.float64]
LEAF = -1


@dataclass(frozen=True)
class Tree(Record):
    """A binary tree; node 0 is its root, and all lists have an entry a node.

    Attributes:
        feature: column that a node asks about, -1 for a leaf.
        threshold: a value at most this goes to the left; of no meaning in a leaf.
        left: node to go to, always a later one; of no meaning in a leaf.
        right: as `left`.
        value: what a leaf adds to the sum; of no meaning elsewhere.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        lists = (self.threshold, self.left, self.right, self.value)
        require(nodes > 0 and all(len(entries) == nodes for entries in lists), "its lists differ in length")
        require(min(self.feature) >= LEAF, "a node asks about no feature")
        for node, feature in enumerate(self.feature):
            children = (self.left[node], self.right[node])
            # Children come later, so that no walk goes round in circles.
            require(feature == LEAF or all(node < child < nodes for child in children), "a node has a wrong child")

    def evaluate(self, features: NDArray[np.float32]) -> Floats:
        """Value of the leaf that each row reaches: float64 [M] for float32 [M, F]."""
        feature, threshold, left, right, value = self._arrays
        node = np.zeros(len(features), np.int64)
        rows = np.arange(len(features))
        while (inside := feature[node] != LEAF).any():
            goes_left = features[rows, feature[node]] <= threshold[node]
            node = np.where(inside, np.where(goes_left, left[node], right[node]), node)
        return value[node]

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64], NDArray[np.int64], Floats]:
        integers = (np.array(entries, np.int64) for entries in (self.feature, self.left, self.right))
        floats = (np.array(entries, np.float64) for entries in (self.threshold, self.value))
        feature, left, right = integers
        threshold, value = floats
        return feature, threshold, left, right, value


@dataclass(frozen=True)
class BoostedTrees(Record):
    """A sum of trees over named features (J. H. Friedman, "Greedy function approximation", 2001).

    Attributes:
        features: names of the columns.
        base: where the sum starts.
        trees: what is added, in this order.
    """

    features: tuple[str, ...]
    base: float
    trees: tuple[Tree, ...]

    def __post_init__(self) -> None:
        asked = max((max(tree.feature) for tree in self.trees), default=LEAF)
        require(asked < len(self.features), "a tree asks about a feature that has no name")

    @property
    def parameters(self) -> int:
        """Learned numbers: a feature and a threshold a question, a value a leaf, and the base."""
        counts = [(len(tree.feature), tree.feature.count(LEAF)) for tree in self.trees]
        return 1 + sum(2 * (nodes - leaves) + leaves for nodes, leaves in counts)

    def evaluate(self, features: Floats) -> Floats:
        """The sum for each row: float64 [M] for float64 [M, F]; questions are asked of float32, as in training."""
        asked = features.astype(np.float32)
        total = np.full(len(features), self.base)
        for tree in self.trees:
            total += tree.evaluate(asked)
        return total
