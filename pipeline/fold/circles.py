"""Circles of parent links: found when a link closes one, and known by where they were cut.

Every circle has exactly one cut, so a walk along the links that stops at a cut always ends.
"""

from collections.abc import Mapping

from pipeline.fold.observation import Observation


def circle_of(node: Observation, nodes: Mapping[str, Observation]) -> list[Observation] | None:
    """The links from it back to itself, where there are such; stops at a circle that it is not in."""
    trail = [node]
    at = nodes.get(node.parent_id)
    while at is not None and at is not node and not at.cut:
        trail.append(at)
        at = nodes.get(at.parent_id) if at.parent_id else None
    return trail if at is node else None


def cut_of(node: Observation, nodes: Mapping[str, Observation]) -> Observation | None:
    """Where the circle that it is in was cut, None where it is in none."""
    at: Observation | None = node
    while at is not None and not at.cut:
        at = nodes.get(at.parent_id) if at.parent_id else None
    if at is None or at is node:
        return at
    cut, at = at, nodes[at.parent_id]
    while at is not cut and at is not node:
        at = nodes[at.parent_id]
    return cut if at is node else None
