"""`spanfold clickhouse-users`: the statements that make users of ClickHouse with no more rights than they need.

Rule: three roles, each a row of GRANTS: who migrates, what the roles of Spanfold run as, and who only reads. An analyst
is a reader with a row policy on every table that has a project: of all others' rows it sees none. Who reads but is no
analyst gets a policy that lets it see all, since a table with policies shows nothing to those whom none names.
Passwords are read from files, one a user, made at random where they are missing; the statements hold salted hashes.
Readers have no `readonly` in their profile: their grants write nothing, and it would refuse the settings that
`spanfold sql` and drivers send. Run again, the statements change passwords and rights to what they say. Nothing is sent
unless asked.
Failure: SettingError for names that are no identifiers and files that cannot be read.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clickhouse_connect.driver.binding import format_query_value
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.store.client import connect
from pipeline.store.errors import StoreError, error_code

OWNER, WRITER, READER, ANALYST = "spanfold_owner", "spanfold_writer", "spanfold_reader", "spanfold_analyst"
# What analysts may ask: the views, and the storage tables below them, whose rows the policies choose.
VIEWS = (
    "traces", "observations", "scores", "trace_tree", "sessions", "users", "cost_by", "cost_by_tag", "cost_by_kind",
    "cost_by_segment", "cost_history", "cache_savings", "metering", "pricing_coverage", "media",
)  # fmt: skip
WITH_PROJECT = ("traces_rows", "observations_rows", "scores_rows", "raw_events", "cost_history_rows")
_OWNS = "SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, OPTIMIZE, TRUNCATE"
GRANTS: Mapping[str, tuple[str, ...]] = {
    OWNER: (
        f"{_OWNS} ON {{database}}.*",
        f"{_OWNS}, DROP DATABASE ON {{database}}_shadow.*",  # `replay --into shadow` makes it and takes it away
    ),
    WRITER: ("SELECT, INSERT ON {database}.*",),
    READER: ("SELECT ON {database}.*",),
    ANALYST: tuple(f"SELECT ON {{database}}.{name}" for name in (*VIEWS, *WITH_PROJECT)),
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Users:
    """Who is to be: names by role; `analysts` maps a user to the project that it may see."""

    owner: str = "spanfold_migrate"
    writer: str = "spanfold_roles"
    readers: tuple[str, ...] = ("spanfold_read",)
    analysts: Mapping[str, str] = field(default_factory=dict)

    def roles(self) -> dict[str, str]:
        """User -> role, in the order in which they are made."""
        named = {self.owner: OWNER, self.writer: WRITER}
        return named | dict.fromkeys(self.readers, READER) | dict.fromkeys(self.analysts, ANALYST)


def statements(settings: Settings, users: Users, hashes: Mapping[str, tuple[str, str]]) -> list[str]:
    """All statements in order; `hashes` has (SHA-256 of password and salt, salt) of each user. Raises SettingError."""
    roles = users.roles()
    if len(roles) != 2 + len(users.readers) + len(users.analysts):
        raise SettingError("A name of a user stands for two of them.", remedy="Give each its own.")
    for name in (*roles, settings.clickhouse_database, *filter(None, [settings.clickhouse_cluster])):
        if not _NAME.fullmatch(name):
            raise SettingError(f"{name!r} cannot be a name here.", remedy="Use letters, digits and underscores.")
    cluster = f" ON CLUSTER {settings.clickhouse_cluster}" if settings.clickhouse_cluster else ""
    made = [*_roles(settings.clickhouse_database, cluster)]
    for user, role in roles.items():
        digest, salt = hashes[user]
        made.append(
            f"CREATE USER OR REPLACE {user}{cluster} IDENTIFIED WITH sha256_hash BY '{digest}' SALT '{salt}'"
            f" DEFAULT ROLE {role}"
        )
        made.append(f"GRANT{cluster} {role} TO {user}")
    return [*made, *_policies(settings.clickhouse_database, cluster, users)]


def _roles(database: str, cluster: str) -> Iterator[str]:
    for role, grants in GRANTS.items():
        yield f"CREATE ROLE IF NOT EXISTS {role}{cluster}"
        if cluster and role == OWNER:
            yield f"GRANT{cluster} CLUSTER ON *.* TO {role}"  # what ON CLUSTER asks for, whatever the statement
        for grant in grants:
            yield f"GRANT{cluster} {grant.format(database=database)} TO {role}"


def _policies(database: str, cluster: str, users: Users) -> Iterator[str]:
    """Who is no analyst sees all, whether or not there are analysts yet; an analyst the rows of its project."""
    for table in WITH_PROJECT:
        yield (
            f"CREATE ROW POLICY OR REPLACE spanfold_all{cluster} ON {database}.{table} USING 1 TO ALL EXCEPT {ANALYST}"
        )
        for user, project in users.analysts.items():
            yield (
                f"CREATE ROW POLICY OR REPLACE spanfold_{user}{cluster} ON {database}.{table}"
                f" USING {own_rows(project)} TO {user}"
            )


def own_rows(project: str) -> str:
    """The condition on a row that an analyst of the project may see."""
    return f"project_id = {format_query_value(project)}"


def read_hashes(folder: Path, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Salted hashes of the passwords in folder/NAME; a missing file is made, for its owner. Raises SettingError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {name: _hashed(_password(folder / name)) for name in names}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"The passwords in {folder} cannot be used: {error}.", remedy="Check its rights.") from error


def _password(path: Path) -> str:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(24))
    password = path.read_text("utf-8").rstrip("\r\n")
    if len(password) < 12:
        raise SettingError(f"The password in {path} is too short.", remedy="Use 12 characters or more.")
    return password


def _hashed(password: str) -> tuple[str, str]:
    """As ClickHouse checks it: SHA-256 over the password followed by the salt."""
    salt = secrets.token_hex(16).upper()
    return hashlib.sha256((password + salt).encode()).hexdigest().upper(), salt


def run_statements(settings: Settings, made: Iterable[str]) -> None:
    """Send them in order; each may be sent again. Raises StoreError, without the statement: it holds a hash."""
    client = connect(settings, database="default", deadline=5.0)
    try:
        for statement in made:
            client.command(statement)
    except ClickHouseError as error:
        code = error_code(error)
        raise StoreError(
            f"ClickHouse refuses a statement about users (code {code}).",
            remedy="SPANFOLD_CLICKHOUSE_USER needs access management, see docs/security.md.",
        ) from error
    finally:
        client.close()
