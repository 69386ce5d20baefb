"""`spanfold check-config`: every setting, its value, where it came from, and what is wrong with it.

Rule: values are shown as they were given, so that a wrong one can be seen; secrets and passwords in URLs are masked.
A variable that looks like ours and is none is a note, not a problem: clusters set SPANFOLD_SERVICE_HOST and the like
for a service of that name. Contradictions between settings are one table, CONTRADICTIONS.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from pipeline.config import Settings
from pipeline.errors import SettingError
from pipeline.local.stack import variable_of
from pipeline.ops.logs import LEVELS
from pipeline.secret_files import MASK, SUFFIX, is_secret, variables_of

ELSEWHERE = frozenset({"SPANFOLD_CACHE", "SPANFOLD_MAVEN_REPOSITORY", "SPANFOLD_READY_FILE"})  # read by their rooms


def _has_credentials(settings: Settings) -> bool:
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return bool(settings.kafka_token_path)
    return bool(settings.kafka_username and settings.kafka_password.get_secret_value())


CONTRADICTIONS: tuple[tuple[Callable[[Settings], bool], str], ...] = (
    (
        lambda s: s.pending_events < s.flush_events,
        "SPANFOLD_PENDING_EVENTS is below SPANFOLD_FLUSH_EVENTS: consuming would pause before a flush is full.",
    ),
    (
        lambda s: s.settle_idle < s.settle_quiet,
        "SPANFOLD_SETTLE_IDLE is below SPANFOLD_SETTLE_QUIET: traces would settle without waiting for their root.",
    ),
    (
        lambda s: bool(s.init_project_public_key) != bool(s.init_project_secret_key.get_secret_value()),
        "Only one half of the initial project's key is set: set the public and the secret key, or neither.",
    ),
    (
        lambda s: not re.match(r"https?://[^/]+", s.clickhouse_url),
        "SPANFOLD_CLICKHOUSE_URL is no http or https URL, such as http://localhost:8123.",
    ),
    (
        lambda s: any(not re.fullmatch(r"\S+:\d+", host.strip()) for host in s.kafka_bootstrap.split(",")),
        "SPANFOLD_KAFKA_BOOTSTRAP is not host:port, comma separated.",
    ),
    (
        lambda s: "@" in urlsplit(s.clickhouse_url).netloc,
        "SPANFOLD_CLICKHOUSE_URL holds a user: set SPANFOLD_CLICKHOUSE_USER and SPANFOLD_CLICKHOUSE_PASSWORD instead.",
    ),
    (
        lambda s: bool(s.clickhouse_ca_path) and s.clickhouse_url.startswith("http:"),
        "SPANFOLD_CLICKHOUSE_CA_PATH is set, but SPANFOLD_CLICKHOUSE_URL is not https: nothing would be encrypted.",
    ),
    (
        lambda s: (
            bool(s.kafka_ca_path or s.kafka_certificate_path) and "SSL" not in s.kafka_security_protocol.split("_")
        ),
        "A certificate for Kafka is set, but SPANFOLD_KAFKA_SECURITY_PROTOCOL is without TLS.",
    ),
    (
        lambda s: bool(s.kafka_username or s.kafka_token_path) and not s.kafka_security_protocol.startswith("SASL_"),
        "A user or token for Kafka is set, but SPANFOLD_KAFKA_SECURITY_PROTOCOL is without SASL.",
    ),
    (
        lambda s: s.kafka_security_protocol.startswith("SASL_") and not _has_credentials(s),
        "SPANFOLD_KAFKA_SECURITY_PROTOCOL asks for SASL: set SPANFOLD_KAFKA_USERNAME and SPANFOLD_KAFKA_PASSWORD, or "
        "SPANFOLD_KAFKA_TOKEN_PATH for OAUTHBEARER.",
    ),
    (
        lambda s: bool(s.http_key_path) and not s.http_certificate_path,
        "SPANFOLD_HTTP_KEY_PATH is set without SPANFOLD_HTTP_CERTIFICATE_PATH.",
    ),
    (
        lambda s: s.log_level.lower() not in LEVELS,
        f"SPANFOLD_LOG_LEVEL is none of {', '.join(LEVELS)}.",
    ),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as it is printed; `origin` is the variable that set it, or `default`."""

    variable: str
    value: str
    origin: str


def print_settings() -> bool:
    """Print all; whether anything is wrong."""
    rows = settings_shown(os.environ)
    widths = [max(len(text) for text in column) for column in zip(*((r.variable, r.value) for r in rows), strict=True)]
    for row in rows:
        print(f"{row.variable:<{widths[0]}}  {row.value:<{widths[1]}}  {row.origin}")
    for note in strangers(os.environ):
        print(f"note: {note}")
    wrong = problems()
    for problem in wrong:
        print(f"wrong: {problem}")
    print("The settings are wrong." if wrong else "The settings are right.")
    return bool(wrong)


def settings_shown(environment: Mapping[str, str]) -> list[Shown]:
    """Every setting in the order of config.py."""
    return [_shown(name, field, environment) for name, field in Settings.model_fields.items()]


def problems() -> list[str]:
    """What is wrong with the settings of this process: wrong values, else contradictions."""
    try:
        settings = Settings()
    except SettingError as error:  # a file of a secret
        return [str(error)]
    except ValidationError as error:
        return [f"{variable_of(str(one['loc'][0]))}: {one['msg']} (got {_got(one)})" for one in error.errors()]
    return [message for contradicts, message in CONTRADICTIONS if contradicts(settings)]


def strangers(environment: Mapping[str, str]) -> list[str]:
    """Variables that start with SPANFOLD_ and are no setting, with the nearest that is one."""
    known = {variable for name, field in Settings.model_fields.items() for variable in _variables(name, field)}
    notes = []
    for variable in sorted(environment):
        if variable.startswith("SPANFOLD_") and variable not in known | ELSEWHERE:
            near = difflib.get_close_matches(variable, known, 1, cutoff=0.8)
            notes.append(f"{variable} is no setting" + (f"; {near[0]} is one." if near else "."))
    return notes


def _shown(name: str, field: FieldInfo, environment: Mapping[str, str]) -> Shown:
    variables = _variables(name, field)
    origin = next((variable for variable in variables if variable in environment), None)
    default = field.get_default(call_default_factory=True, validated_data={})
    if origin and origin not in variables_of(name, field):
        return Shown(variables[0], MASK, origin)  # a file, whose content is a secret
    secret = isinstance(default, SecretStr)
    given = environment[origin] if origin else default.get_secret_value() if secret else str(default)
    value = MASK if secret and given else re.sub(r"(://[^:/@]*):.*@", rf"\1:{MASK}@", given)
    return Shown(variables[0], value, origin or "default")


def _variables(name: str, field: FieldInfo) -> list[str]:
    """The variables that set a field, the first of them Spanfold's own, then those that name a file."""
    variables = variables_of(name, field)
    return variables + [variable + SUFFIX for variable in variables] if is_secret(name, field) else variables


def _got(error: object) -> str:
    """The value that was refused; secrets have no rules that could refuse one, so none is shown here."""
    return repr(error["input"]) if isinstance(error, dict) else ""
