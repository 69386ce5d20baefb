"""What `spanfold keys` and `spanfold limits` do and say. Failure: RegistryError."""

from contextlib import closing

from rich.console import Console
from rich.table import Table

from pipeline.errors import SettingError
from pipeline.registry.entities import RateLimits
from pipeline.registry.errors import RegistryError
from pipeline.registry.registry import Registry, open_registry


def run_keys(url: str, create: str, revoke: str, *, new_project: bool = False) -> None:
    """Make or revoke a key of the registry at `url`, or list all where neither is asked for.

    With `new_project` the project that `create` names is made first; its id is its name.
    """
    if new_project and not create:
        raise SettingError("--new-project needs the project's id.", remedy="Add --create PROJECT.")
    with closing(open_registry(url)) as registry:
        if new_project:
            registry.create_project(create, project_id=create)
        if create:
            key = registry.create_key(create)
            print(f"public key: {key.public_key}\nsecret key: {key.secret_key}")
        if revoke:
            registry.revoke_key(revoke)
            print(f"revoked {revoke}")
        if not create and not revoke:
            _print_keys(registry)


def run_limits(url: str, project_id: str, changes: tuple[int | None, int | None, int | None], *, reset: bool) -> None:
    """Show a project's limits after making the changes: requests, events and bytes a second; None: as it is."""
    with closing(open_registry(url)) as registry:
        project = registry.project(project_id)
        if project is None:
            raise RegistryError(f"There is no project with the id {project_id!r}.", remedy="`spanfold keys` names all.")
        before = RateLimits() if reset else project.limits
        after = RateLimits(*(old if new is None else new for old, new in zip(before, changes, strict=True)))
        if after != project.limits:
            registry.set_limits(project_id, after)
    for name, limit in after._asdict().items():
        print(f"{name} per second: {_told(limit)}")


def _told(limit: int | None) -> str:
    if limit is None:
        return "as the settings say"
    return f"{limit:,}" if limit else "no limit"


def _print_keys(registry: Registry) -> None:
    table = Table()
    for name in ("Project", "Public key", "Secret ends with", "Made", "Revoked"):
        table.add_column(name, overflow="fold")
    for key in registry.list_keys():
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
        table.add_row(key.project_id, key.public_key, key.tail, f"{key.created_at:%Y-%m-%d %H:%M}", revoked)
    Console().print(table)
