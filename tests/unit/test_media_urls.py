"""URLs of media: what was altered is refused, whatever it was altered to."""

import pytest
from starlette.datastructures import QueryParams

from pipeline.ingest.answers import ApiError
from pipeline.ingest.media_urls import Grant, granted, signed_query

KEY, GRANT = b"k" * 32, Grant("PUT", "p", "m" * 22, 2**40)


def test_a_url_permits_what_it_was_made_for() -> None:
    assert granted(KEY, "PUT", GRANT.media_id, QueryParams(signed_query(KEY, GRANT))) == GRANT


@pytest.mark.parametrize("expires", ["", "-1", "x", "9" * 5_000, "\u0663"])
def test_a_time_that_cannot_be_is_refused(expires: str) -> None:
    query = QueryParams({"project": "p", "expires": expires, "signature": "0" * 64})
    with pytest.raises(ApiError) as refused:
        granted(KEY, "PUT", GRANT.media_id, query)
    assert refused.value.status == 403
