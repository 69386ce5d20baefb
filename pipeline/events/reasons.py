"""Why a record could not be processed: the reasons that dead letters carry."""

from enum import StrEnum


class Reason(StrEnum):
    """One word for each way a record can fail; the member's comment is its documentation."""

    MISSING_KEY = "missing_key"  # the record has no key, so its partition says nothing about its trace
    KEY_MISMATCH = "key_mismatch"  # the key is not PROJECT/TRACE of the event inside
    EMPTY = "empty"  # the record has no value
    TOO_LARGE = "too_large"  # longer than the limit for one event
    UNKNOWN_FORMAT = "unknown_format"  # neither a known content type nor recognisable first bytes
    UNKNOWN_SCHEMA = "unknown_schema"  # an Avro fingerprint or a schema id that is not known
    SCHEMA_UNAVAILABLE = "schema_unavailable"  # the schema registry did not answer; replay it when it does
    MALFORMED = "malformed"  # the bytes are not what their format says
    INVALID = "invalid"  # well-formed, but a field breaks a rule
    NO_PROJECT = "no_project"  # a format that needs the project header came without it
    DECODER_FAILED = "decoder_failed"  # the decoder itself failed on these bytes: a bug to report
    FOLD_FAILED = "fold_failed"  # our own code failed on it after decoding: it is archived, and in no row yet
    UNLABELLED = "unlabelled"  # found in the dead-letter topic without a reason: somebody else put it there
    STORE_REFUSED = "store_refused"  # ClickHouse refuses a row made from this record, whatever its neighbours


class DecodeError(Exception):
    """A record cannot be decoded; `reason` goes to the dead letter's header, `detail` to a person."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
