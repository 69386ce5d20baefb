"""One way to connect to ClickHouse, embedded or a cluster.

Rule: wait for a store that is starting, until a deadline; fail at once where waiting cannot help (wrong password).
Clients share no session, so one client serves many threads. Failure: StoreError that names the URL and what to do.
An https URL is encrypted and its certificate always verified, by `clickhouse_ca_path` or the system's authorities.
Configured by `clickhouse_url`, `clickhouse_user`, `clickhouse_password`, `clickhouse_database`, `clickhouse_ca_path`.
"""

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.patience import is_unknown
from pipeline.store.errors import StoreAbsentError, StoreError, error_code

_POLL = 0.2
_REFUSALS = {192, 193, 194, 516}  # unknown user, wrong, required, failed: see errors.CODES
_NO_DATABASE = 81
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([^\"')]+)")
_STATUS = re.compile(r"HTTP status (\d{3})")
_LINE = 300  # characters
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


def connect(
    settings: Settings, *, database: str | None = None, deadline: float = 30.0, timeout: float = 60.0
) -> Client:
    """A client of `database` (default: the configured one).

    `deadline` bounds the wait for a server that does not answer yet, `timeout` every later request; both in seconds.
    Raises StoreError when the deadline passes, when the password is wrong or the database is missing.
    """
    name = settings.clickhouse_database if database is None else database
    give_up = time.monotonic() + deadline
    while True:
        try:
            return _client(settings, name, timeout)
        except ClickHouseError as error:
            code = error_code(error)
            if code == _NO_DATABASE:
                raise StoreError(f"ClickHouse has no database {name!r}.", remedy="Run `spanfold migrate`.") from error
            if code in _REFUSALS:
                raise StoreError(
                    f"ClickHouse at {settings.clickhouse_url} refuses user {settings.clickhouse_user!r}.",
                    remedy="Check SPANFOLD_CLICKHOUSE_USER and SPANFOLD_CLICKHOUSE_PASSWORD.",
                ) from error
            if _UNTRUSTED in str(error):
                raise StoreError(
                    f"The certificate of ClickHouse at {settings.clickhouse_url} is not trusted: {_reason(error)}.",
                    remedy="Set SPANFOLD_CLICKHOUSE_CA_PATH to who signed it, and name the server as it does.",
                ) from error
            if time.monotonic() >= give_up:
                raise StoreAbsentError(
                    f"ClickHouse at {settings.clickhouse_url} did not answer within {deadline:g} s: {_cause(error)}.",
                    remedy="Check that it runs and that SPANFOLD_CLICKHOUSE_URL is right.",
                    unknown=is_unknown(error),
                ) from error
        time.sleep(_POLL)


def _client(settings: Settings, database: str, timeout: float) -> Client:
    url = urlsplit(settings.clickhouse_url)
    if "@" in url.netloc:
        raise SettingError(
            "SPANFOLD_CLICKHOUSE_URL holds a user.",
            remedy="Set SPANFOLD_CLICKHOUSE_USER and SPANFOLD_CLICKHOUSE_PASSWORD instead.",
        )
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SettingError(
            f"SPANFOLD_CLICKHOUSE_URL is {settings.clickhouse_url!r}, which is no http or https URL.",
            remedy="Give the HTTP interface, such as http://localhost:8123.",
        )
    if settings.clickhouse_ca_path and not Path(settings.clickhouse_ca_path).is_file():
        raise SettingError(
            f"SPANFOLD_CLICKHOUSE_CA_PATH is {settings.clickhouse_ca_path!r}, which is no file.",
            remedy="Check the path.",
        )
    return clickhouse_connect.get_client(
        interface=url.scheme,
        host=url.hostname,
        port=url.port or (8443 if url.scheme == "https" else 8123),
        proxy_path=url.path,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=database,
        compress="lz4",
        connect_timeout=10,
        send_receive_timeout=int(timeout),
        autogenerate_session_id=False,
        client_name="spanfold",
        verify=True,
        ca_cert=settings.clickhouse_ca_path or None,
    )


def _cause(error: Exception) -> str:
    """One line out of what the driver says: the system's word about the connection, or that somebody else answers."""
    said = str(error)
    if found := _SYSTEM.search(said):
        return found[1]
    if error_code(error) is None and (found := _STATUS.search(said)):
        return f"the answer has HTTP status {found[1]} and is not one of ClickHouse"
    return " ".join(said.split())[:_LINE].rstrip(".")


def _reason(error: Exception) -> str:
    """What OpenSSL says about the certificate, out of what the driver wraps around it."""
    return str(error).partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or _UNTRUSTED
