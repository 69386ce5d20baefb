"""One lost membership may be an accident; the second in a short time tells of a twin."""

from pipeline.stream.membership import SESSIONS, Membership


def test_once_is_an_accident_and_twice_is_a_twin() -> None:
    membership = Membership("worker-1", 10.0)
    assert not membership.lost(100.0)
    assert membership.lost(103.0)
    assert "'worker-1'" in membership.complaint


def test_two_accidents_far_apart_are_no_twin() -> None:
    membership = Membership("worker-1", 10.0)
    assert [membership.lost(now) for now in (0.0, 10 * SESSIONS + 1, 20 * SESSIONS + 2)] == [False, False, False]
    assert membership.lost(20 * SESSIONS + 3)


def test_without_an_instance_id_there_are_no_twins() -> None:
    membership = Membership("", 10.0)
    assert [membership.lost(float(now)) for now in range(5)] == [False] * 5
