"""Fetching files of a repository of the hub: those that match a pattern, and no others."""

from __future__ import annotations

from pathlib import Path

from blip_fixtures.privacy import without_credentials

# Of what an error says.
_MOST_CHARACTERS = 300

# Whose errors mean that the connection broke.
_CLIENTS = ("huggingface_hub", "httpx", "httpx2", "httpcore", "requests", "urllib3")


class HubError(RuntimeError):
    """The hub did not give the files; the message says why, and ends with what to do."""


class UnknownRepositoryError(HubError):
    """The hub has no repository of that name, or hides it."""


def fetch(hub_id: str, revision: str | None, patterns: tuple[str, ...], *, kind: str = "model") -> Path:
    """The local folder with the files of `hub_id` that match `patterns`; those in the cache are not fetched again.

    `kind` is ``model`` or ``dataset``. The folder is named after the commit. Raises `HubError`.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hub = without_credentials(constants.ENDPOINT)
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(patterns), repo_type=kind))
    except GatedRepoError:
        raise HubError(f"{hub} gives it to accepted users only; accept its terms there and log in") from None
    except RepositoryNotFoundError:
        raise UnknownRepositoryError(
            f"{hub} knows no such repository, or it is private; check the id, or log in where it is private"
        ) from None
    except RevisionNotFoundError:
        raise HubError(f"{hub} has no revision {revision!r} of it; check its name") from None
    except LocalEntryNotFoundError:
        raise HubError(
            f"{hub} cannot be reached and the local cache lacks the files; check the network, or give a local folder"
        ) from None
    except HfHubHTTPError as error:
        raise HubError(f"{hub} answered {_first_line(error)}; try again, or give a local folder") from None
    except HFValidationError as error:
        raise HubError(f"that is no hub id ({_first_line(error)}); give owner/name") from None
    except Exception as error:
        # The HTTP client changed between releases of huggingface_hub, and its errors share no base class.
        is_network = isinstance(error, (ConnectionError, TimeoutError))
        if not is_network and type(error).__module__.partition(".")[0] not in _CLIENTS:
            if not isinstance(error, OSError):
                raise
            said = without_credentials(error.strerror or str(error))
            raise HubError(
                f"the files cannot be kept in {constants.HF_HUB_CACHE} ({said}); make room there, "
                "or set HF_HOME to another folder"
            ) from None
        raise HubError(
            f"the connection to {hub} broke ({type(error).__name__}: {_first_line(error)}); run again, what was "
            "fetched is kept"
        ) from None


def _first_line(error: Exception) -> str:
    """What an error says, in characters that a terminal shows: a part of it is a server's answer."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    # Before it is cut, so that no part of a name and a password is left without its end.
    return without_credentials("".join(letter if letter.isprintable() else "?" for letter in line))[:_MOST_CHARACTERS]
