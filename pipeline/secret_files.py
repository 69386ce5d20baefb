"""Secrets from files: SPANFOLD_X_FILE names a file that holds the value of the secret setting SPANFOLD_X.

Problem: a variable is seen by everything the process starts and by whoever may describe its container; files of
Docker's and Kubernetes' secrets are not. Rule: every setting that is a SecretStr, and the registry's URL (which may
hold a password), has this second form; one line break at the end of the file does not count. A setting that another
program named (LANGFUSE_…) has `_FILE` behind that name.
Failure: SettingError where the file cannot be read or the variable says something else.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from pipeline.errors import SettingError

SUFFIX = "_FILE"
MASK = "********"
SHORTEST = 4  # characters
URLS = frozenset({"registry_url"})  # texts that may hold a password


def is_secret(name: str, field: FieldInfo) -> bool:
    """Whether the value must not be shown as it is and may come from a file."""
    return field.annotation is SecretStr or name in URLS


def variables_of(name: str, field: FieldInfo) -> list[str]:
    """The variables that set a field, Spanfold's own first."""
    alias = field.validation_alias
    return (
        [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [f"SPANFOLD_{name.upper()}"]
    )


class SecretFiles(PydanticBaseSettingsSource):
    """The source that pipeline/config.py asks after the environment."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """(value or None, key, whether it needs decoding). Raises SettingError."""
        if is_secret(field_name, field):
            for variable in variables_of(field_name, field):
                if path := os.environ.get(variable + SUFFIX):
                    value = _read(variable + SUFFIX, Path(path))
                    _check_agreement(variable, value)
                    return value, field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """What files say, by field."""
        found = {name: self.get_field_value(field, name)[0] for name, field in _fields(self.settings_cls).items()}
        return {name: value for name, value in found.items() if value is not None}


def _fields(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    return settings.model_fields


def _check_agreement(variable: str, value: str) -> None:
    """A stack's roles get the variable from who read the file, so both may be set, to the same."""
    if os.environ.get(variable, value) != value:
        raise SettingError(f"{variable} and {variable}{SUFFIX} say different things.", remedy="Keep one of them.")


def _read(variable: str, path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingError(
            f"{variable} is {str(path)!r}, which cannot be read: {reason}.", remedy="Check the path and its rights."
        ) from error


def secrets_of(settings: BaseSettings) -> tuple[str, ...]:
    """What must never be shown, the longest first; texts too short to be secrets would mask half of a log."""
    found = set()
    for name, field in _fields(type(settings)).items():
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
        elif is_secret(name, field):
            found |= passwords_in(value)
    return tuple(sorted((each for each in found if len(each) >= SHORTEST), key=len, reverse=True))


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced by MASK."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def passwords_in(url: str) -> set[str]:
    """The password in a URL, as it is written there and decoded."""
    user, found, _ = url.partition("://")[2].rpartition("@")
    password = user.partition(":")[2]
    return {password, unquote(password)} if found and password else set()
