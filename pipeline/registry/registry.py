"""The registry as the rest of Spanfold sees it: one object, one transaction a call, safe to call from any thread."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from pipeline.patience import is_unknown
from pipeline.registry import database, initial, keys, prices, projects, retention, rules
from pipeline.registry.entities import (
    InitialProject,
    Key,
    NewKey,
    Organization,
    Pin,
    Project,
    PublishedPrices,
    RateLimits,
    RetentionDays,
    Rule,
)
from pipeline.registry.errors import RegistryAbsentError, RegistryError
from pipeline.registry.migrations import upgrade_engine
from pipeline.secret_files import masked, passwords_in


class Registry:
    """Calls block for a query or two (about 1 ms on SQLite); use a thread where a loop must not wait.

    Every method raises sqlalchemy.exc.SQLAlchemyError where the database cannot be reached, and RegistryError for what
    the data does not allow.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing_engine = database.writing(engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with Session(self._engine) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with Session(self._writing_engine, expire_on_commit=False) as session, session.begin():
            database.lock(session.connection())
            yield session

    def create_project(
        self, name: str, *, project_id: str | None = None, org: Organization = projects.DEFAULT_ORGANIZATION
    ) -> Project:
        """Add a project, and its organization where that is new."""
        with self._writing() as session:
            return projects.as_project(projects.create_project(session, name, project_id=project_id, org=org))

    def ensure_initial_project(self, wanted: InitialProject) -> tuple[Project, NewKey | None]:
        """The project that the settings ask for; with none asked for, the oldest or a new one (see `initial.py`)."""
        with self._writing() as session:
            return initial.ensure_initial_project(session, wanted)

    def has_projects(self) -> bool:
        """False in a registry that nobody can send to yet."""
        with self._reading() as session:
            return projects.oldest_project(session) is not None

    def create_key(self, project_id: str, *, public_key: str | None = None, secret_key: str | None = None) -> NewKey:
        """Add a key pair; its secret cannot be read again later."""
        with self._writing() as session:
            return keys.create_key(session, project_id, public_key=public_key, secret_key=secret_key)

    def list_keys(self) -> list[Key]:
        """All keys, revoked ones too."""
        with self._reading() as session:
            return keys.list_keys(session)

    def revoke_key(self, public_key: str) -> None:
        """End a key's validity for good."""
        with self._writing() as session:
            keys.revoke_key(session, public_key)

    def authenticate(self, public_key: str, secret: str) -> Project | None:
        """The project of a valid key pair, else None."""
        with self._reading() as session:
            return keys.authenticate(session, public_key, secret)

    def project_by_public_key(self, public_key: str) -> Project | None:
        """The project that a valid public key names, else None; no proof of a secret."""
        with self._reading() as session:
            return keys.project_by_public_key(session, public_key)

    def project(self, project_id: str) -> Project | None:
        """A project by its id, else None."""
        with self._reading() as session:
            row = projects.find_project(session, project_id)
            return projects.as_project(row) if row else None

    def set_limits(self, project_id: str, limits: RateLimits) -> Project:
        """Replace what a project may send in a second; front doors go by it within seconds."""
        with self._writing() as session:
            return projects.as_project(projects.set_limits(session, project_id, limits))

    def rules(self, project_id: str | None = None) -> list[Rule]:
        """The rules of one project or of all, disabled ones too, oldest first."""
        with self._reading() as session:
            return rules.list_rules(session, project_id)

    def add_rule(
        self,
        project_id: str,
        name: str,
        evaluator: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        sampling_rate: float = 1.0,
        enabled: bool = True,
    ) -> Rule:
        """Add an evaluation rule."""
        with self._writing() as session:
            return rules.add_rule(
                session,
                project_id,
                name,
                evaluator,
                parameters=parameters,
                sampling_rate=sampling_rate,
                enabled=enabled,
            )

    def switch_rule(self, rule_id: str, *, enabled: bool) -> None:
        """Turn a rule on or off."""
        with self._writing() as session:
            rules.switch_rule(session, rule_id, enabled=enabled)

    def newest_prices(self) -> PublishedPrices | None:
        """The price document published last; None before the first."""
        with self._reading() as session:
            return prices.newest_prices(session)

    def prices_of(self, epoch: int) -> PublishedPrices | None:
        """The price document that was published under an epoch; None where there is none."""
        with self._reading() as session:
            return prices.prices_of(session, epoch)

    def publish_prices(
        self, document: Mapping[str, Any], base: str, *, note: str = "", again: bool = False
    ) -> tuple[PublishedPrices, bool]:
        """Publish a document under the next epoch; False beside it where the newest says the same already.

        `again` publishes that, too: rows that a replay makes anew need a higher epoch than those they replace.
        """
        with self._writing() as session:
            return prices.publish_prices(session, document, base, note, again)

    def retention(self) -> dict[str, RetentionDays]:
        """What each project says for itself, and under '' what holds for the others."""
        with self._reading() as session:
            return retention.list_retention(session)

    def set_retention(self, project_id: str, days: RetentionDays) -> None:
        """Replace how long a project ('': all that say nothing) keeps what it has; workers go by it within seconds."""
        with self._writing() as session:
            retention.set_retention(session, project_id, days)

    def pins(self, project_id: str | None = None) -> list[Pin]:
        """The traces of one project or of all that are kept for ever."""
        with self._reading() as session:
            return retention.list_pins(session, project_id)

    def pin(self, project_id: str, trace_id: str, *, note: str = "") -> bool:
        """Keep a trace for ever; False where it is pinned already."""
        with self._writing() as session:
            return retention.pin(session, project_id, trace_id, note)

    def unpin(self, project_id: str, trace_id: str) -> bool:
        """Let a trace go by its project's retention again; False where it was not pinned."""
        with self._writing() as session:
            return retention.unpin(session, project_id, trace_id)


def open_registry(url: str) -> Registry:
    """The registry at a SQLAlchemy URL, its schema brought up to date; processes may do this at the same time.

    Raises RegistryAbsentError where the database does not answer, RegistryError where it refuses us or the URL's
    driver is not installed.
    """
    try:
        engine = database.connect(url)
        upgrade_engine(engine)
    except (SQLAlchemyError, NoSuchModuleError, ModuleNotFoundError) as error:
        message = f"The registry cannot be opened: {type(error).__name__}: {masked(str(error), passwords_in(url))}"
        remedy = "Check SPANFOLD_REGISTRY_URL."
        if isinstance(error, ModuleNotFoundError):
            remedy += " For postgresql+psycopg: pip install 'spanfold[postgres]'."
        if database.is_absent(url, error):
            raise RegistryAbsentError(message, remedy=remedy, unknown=is_unknown(error)) from error
        raise RegistryError(message, remedy=remedy) from error
    return Registry(engine)
