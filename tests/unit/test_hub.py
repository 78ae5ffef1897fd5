"""Errors of the hub: each in a sentence, without what an address carries to log in."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import errors

from blip_fixtures.hub import HubError, fetch

SECRET = "hunter2-xyz"
TOKEN = "hf_abcdefghijklmnop"
ENDPOINTS = [
    f"https://user:{SECRET}@hub.example",
    f"https://{SECRET}@hub.example/path",
    f"http://user:a@b:{SECRET}@hub.example:8080",
]


def response(url: str) -> Any:
    """As much of an answer as the errors look at; the HTTP client differs between releases of the library."""
    return SimpleNamespace(headers={}, status_code=503, request=SimpleNamespace(url=url, method="GET"))


class ClientError(Exception):
    """An error of an HTTP client."""

    __module__ = "httpx"


ERRORS: dict[str, Callable[[str], Exception]] = {
    "gated": lambda url: errors.GatedRepoError(f"for {url}", response=response(url)),
    "repository": lambda url: errors.RepositoryNotFoundError(f"for {url}", response=response(url)),
    "revision": lambda url: errors.RevisionNotFoundError(f"for {url}", response=response(url)),
    "entry": lambda url: errors.LocalEntryNotFoundError(f"for {url}"),
    "http": lambda url: errors.HfHubHTTPError(f"503 of {url} with {TOKEN}\nmore", response=response(url)),
    "id": lambda url: errors.HFValidationError(f"no id: {url}"),
    "connection": lambda url: ConnectionError(f"refused by {url}"),
    "client": lambda url: ClientError(f"refused by {url}"),
    "escapes": lambda url: errors.HfHubHTTPError(f"\x1b[31m\u202e of {url}", response=response(url)),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", ERRORS)
def test_no_error_tells_what_logs_in(monkeypatch: pytest.MonkeyPatch, endpoint: str, name: str) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ERRORS[name](f"{endpoint}/api/models/a/b")

    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.snapshot_download", broken)
    with pytest.raises(HubError) as caught:
        fetch("a/b", None, ("*.json",))
    said = str(caught.value)
    assert SECRET not in said
    assert "user" not in said.replace("accepted users", "")
    assert TOKEN not in said
    assert said.isprintable()
    if name != "id":
        assert "://hub.example" in said
