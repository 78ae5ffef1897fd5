"""What is said where the hub does not give a file: no credentials of its address, whatever went wrong."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from huggingface_hub import errors

from blip_fixtures.hub import HubError, fetch

ENDPOINT = "https://someone:planted-password@hub.example"
SAID = f"no answer from {ENDPOINT}/api/models/a/b?token=planted-token for hf_planted0token0of0the0hub"


def response() -> httpx2.Response:
    return httpx2.Response(500, request=httpx2.Request("GET", f"{ENDPOINT}/api"))


def of_the_hub(kind: type[errors.HfHubHTTPError]) -> Exception:
    return kind(SAID, response=response())


RAISED = [
    of_the_hub(errors.GatedRepoError),
    of_the_hub(errors.RepositoryNotFoundError),
    of_the_hub(errors.RevisionNotFoundError),
    of_the_hub(errors.HfHubHTTPError),
    errors.LocalEntryNotFoundError(SAID),
    errors.HFValidationError(SAID),
    httpx2.ConnectError(SAID),
    ConnectionError(SAID),
    TimeoutError(SAID),
    OSError(28, SAID),
    OSError(SAID),
]


@pytest.mark.parametrize(
    "error", RAISED, ids=[f"{type(error).__name__} {number}" for number, error in enumerate(RAISED)]
)
def test_no_error_tells_a_credential(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", ENDPOINT)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(HubError) as caught:
        fetch("a/b", None, ("*.json",))
    assert "planted" not in str(caught.value)
