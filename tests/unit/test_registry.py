"""The registry on SQLite: keys, projects, rules, and processes that start at the same moment."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from pipeline.registry import InitialProject, Organization, RateLimits, Registry, RegistryError, open_registry
from pipeline.registry.models import Base
from pipeline.registry.secret_hash import hash_secret, secret_matches

GIVEN = InitialProject(
    project_id="p1",
    project_name="Shop",
    org_id="o1",
    org_name="Acme",
    public_key="pk-lf-1234567890",
    secret_key="sk-lf-1234567890",
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deep' / 'registry.sqlite'}"


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    registry = open_registry(url)
    yield registry
    registry.close()


def test_a_key_pair_opens_its_project_and_no_other_secret_does(registry: Registry) -> None:
    project = registry.create_project("one")
    key = registry.create_key(project.id)
    assert key.public_key.startswith("pk-lf-")
    assert key.secret_key.startswith("sk-lf-")
    assert registry.authenticate(key.public_key, key.secret_key) == project
    for wrong in ("", "x", key.secret_key[:-1], key.secret_key.upper(), key.public_key):
        assert registry.authenticate(key.public_key, wrong) is None
    assert registry.authenticate("pk-lf-unknown", key.secret_key) is None
    assert registry.authenticate("pk-lf-unknown", "") is None
    assert registry.project_by_public_key(key.public_key) == project


def test_keys_of_one_project_do_not_open_another(registry: Registry) -> None:
    first, second = registry.create_project("a"), registry.create_project("b")
    key_a, key_b = registry.create_key(first.id), registry.create_key(second.id)
    assert registry.authenticate(key_a.public_key, key_b.secret_key) is None
    assert registry.authenticate(key_b.public_key, key_b.secret_key) == second


def test_a_revoked_key_opens_nothing_and_stays_revoked(registry: Registry) -> None:
    registry.ensure_initial_project(GIVEN)
    registry.revoke_key(GIVEN.public_key)
    registry.revoke_key(GIVEN.public_key)
    registry.ensure_initial_project(GIVEN)
    assert registry.authenticate(GIVEN.public_key, GIVEN.secret_key) is None
    assert registry.project_by_public_key(GIVEN.public_key) is None


def test_revoking_an_unknown_key_says_which(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="pk-lf-nobody"):
        registry.revoke_key("pk-lf-nobody")


def test_a_secret_is_nowhere_in_the_database_file(registry: Registry, tmp_path: Path) -> None:
    project = registry.create_project("one")
    key = registry.create_key(project.id)
    registry.close()
    content = b"".join(path.read_bytes() for path in (tmp_path / "deep").iterdir())
    assert key.public_key.encode() in content
    assert key.secret_key.encode() not in content
    assert key.secret_key not in repr(key)


def test_hashes_are_salted_and_unknown_schemes_match_nothing() -> None:
    assert hash_secret("same") != hash_secret("same")
    assert secret_matches("same", hash_secret("same"))
    assert not secret_matches("same", "md5$00$00")


@pytest.mark.parametrize("bad", ["a/b", "a b", "a\nb", "x" * 201])
def test_a_project_id_that_would_break_record_keys_is_refused(registry: Registry, bad: str) -> None:
    with pytest.raises(RegistryError, match="cannot be used"):
        registry.create_project("one", project_id=bad)


def test_a_taken_project_id_is_refused(registry: Registry) -> None:
    registry.create_project("one", project_id="p")
    with pytest.raises(RegistryError, match="exists already"):
        registry.create_project("two", project_id="p")


def test_projects_of_one_organization_share_it(registry: Registry) -> None:
    org = Organization("o1", "Acme")
    registry.create_project("one", org=org)
    assert registry.create_project("two", org=org).organization == org


def test_a_taken_public_key_and_an_unknown_project_are_refused(registry: Registry) -> None:
    project = registry.create_project("one")
    registry.create_key(project.id, public_key="pk")
    with pytest.raises(RegistryError, match="taken"):
        registry.create_key(project.id, public_key="pk")
    with pytest.raises(RegistryError, match="no project"):
        registry.create_key("nowhere")


def test_times_come_back_with_their_zone(registry: Registry) -> None:
    created = registry.create_project("one").created_at
    assert created.tzinfo is not None
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
    assert registry.ensure_initial_project(InitialProject())[0].created_at == created


def test_an_empty_registry_gets_a_default_project_with_a_key_once(registry: Registry) -> None:
    assert not registry.has_projects()
    project, key = registry.ensure_initial_project(InitialProject())
    assert project.id == "default"
    assert key is not None
    assert registry.authenticate(key.public_key, key.secret_key) == project
    assert registry.ensure_initial_project(InitialProject()) == (project, None)


def test_without_settings_the_oldest_project_is_the_initial_one(registry: Registry) -> None:
    first = registry.create_project("first", project_id="z")
    registry.create_project("second", project_id="a")
    assert registry.ensure_initial_project(InitialProject()) == (first, None)


def test_the_settings_project_is_made_once_and_its_key_is_told_each_time(registry: Registry) -> None:
    for _ in range(2):
        project, key = registry.ensure_initial_project(GIVEN)
        assert (project.id, project.name, project.organization) == ("p1", "Shop", Organization("o1", "Acme"))
        assert key is not None
        assert (key.public_key, key.secret_key) == (GIVEN.public_key, GIVEN.secret_key)
    assert registry.authenticate(GIVEN.public_key, GIVEN.secret_key) == project


def test_a_secret_changed_in_the_settings_replaces_the_old_one(registry: Registry) -> None:
    registry.ensure_initial_project(GIVEN)
    changed = InitialProject(project_id="p1", public_key=GIVEN.public_key, secret_key="sk-lf-new")
    project, _ = registry.ensure_initial_project(changed)
    assert registry.authenticate(GIVEN.public_key, "sk-lf-new") == project
    assert registry.authenticate(GIVEN.public_key, GIVEN.secret_key) is None
    assert project.name == "Shop"


def test_settings_with_a_project_and_no_key_make_a_key_only_with_the_project(registry: Registry) -> None:
    project, key = registry.ensure_initial_project(InitialProject(project_id="p9"))
    assert project.id == "p9"
    assert key is not None
    assert registry.ensure_initial_project(InitialProject(project_id="p9")) == (project, None)


def test_half_a_key_and_a_key_of_another_project_are_refused(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="one half"):
        registry.ensure_initial_project(InitialProject(public_key="pk"))
    registry.ensure_initial_project(GIVEN)
    stolen = InitialProject(project_id="p2", public_key=GIVEN.public_key, secret_key="sk")
    with pytest.raises(RegistryError, match="'p1'"):
        registry.ensure_initial_project(stolen)
    with pytest.raises(RegistryError, match="no project"):
        registry.create_key("p2")  # the refused call left nothing behind


def test_rules_are_listed_by_project_and_switched(registry: Registry) -> None:
    registry.create_project("one", project_id="p1")
    registry.create_project("two", project_id="p2")
    slow = registry.add_rule("p1", "slow", "latency_above", parameters={"ms": 500}, sampling_rate=0.25)
    empty = registry.add_rule("p2", "empty", "output_empty")
    assert (slow.parameters, slow.sampling_rate, slow.enabled) == ({"ms": 500}, 0.25, True)
    assert registry.rules() == [slow, empty]
    assert registry.rules("p1") == [slow]
    registry.switch_rule(slow.id, enabled=False)
    assert [rule.enabled for rule in registry.rules()] == [False, True]


def test_bad_rules_are_refused(registry: Registry) -> None:
    registry.create_project("one", project_id="p1")
    registry.add_rule("p1", "slow", "latency_above")
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(RegistryError, match="sampling rate"):
            registry.add_rule("p1", "other", "latency_above", sampling_rate=rate)
    with pytest.raises(RegistryError, match="already"):
        registry.add_rule("p1", "slow", "output_empty")
    with pytest.raises(RegistryError, match="no project"):
        registry.add_rule("nowhere", "slow", "output_empty")
    with pytest.raises(RegistryError, match="no rule"):
        registry.switch_rule("nothing", enabled=True)


def test_the_migrations_make_exactly_the_models_tables(url: str, registry: Registry) -> None:
    with create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


def test_opening_again_keeps_everything(url: str, registry: Registry) -> None:
    project = registry.create_project("one")
    again = open_registry(url)
    assert again.ensure_initial_project(InitialProject())[0] == project
    again.close()


def test_processes_that_start_together_agree_on_one_project_and_one_key(url: str) -> None:
    code = (
        "import sys; from pipeline.registry import *; "
        "_, key = open_registry(sys.argv[1]).ensure_initial_project(InitialProject()); print(key is not None)"
    )
    racers = [subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE) for _ in range(3)]
    outputs = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert sorted(outputs) == [b"False", b"False", b"True"]


def test_a_url_that_cannot_be_opened_says_what_to_do() -> None:
    with pytest.raises(RegistryError, match="SPANFOLD_REGISTRY_URL"):
        open_registry("nosuchdatabase://host/name")


def test_a_projects_limits_come_with_its_key_and_can_be_replaced(registry: Registry) -> None:
    project = registry.create_project("one")
    key = registry.create_key(project.id)
    assert project.limits == RateLimits(None, None, None)
    assert registry.set_limits(project.id, RateLimits(requests=10, bytes=0)).limits == RateLimits(10, None, 0)
    found = registry.authenticate(key.public_key, key.secret_key)
    assert found == registry.project(project.id)
    assert found is not None
    assert found.limits == RateLimits(10, None, 0)
    assert registry.set_limits(project.id, RateLimits()).limits == RateLimits()
    with pytest.raises(RegistryError, match="no project"):
        registry.set_limits("nobody", RateLimits())
    for wrong in (RateLimits(-1), RateLimits(None, 2**31), RateLimits(None, None, -5)):
        with pytest.raises(RegistryError, match="cannot be"):
            registry.set_limits(project.id, wrong)
