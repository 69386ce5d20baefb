"""What a check of `spanfold doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` says what is there, `remedy` what to do where `ok` is false."""

    check: str
    ok: bool
    found: str
    remedy: str = ""
