"""What a text may say to others: no credentials, no home folder or user name; of an anonymous run no paths or host.

Texts go through here once, where they enter records, messages and files.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

HIDDEN = "***"
# Of a record: what the model answered is what was measured, and says nothing of the machine.
AS_MEASURED = frozenset({"predictions"})
# A shorter value of a variable would be found inside words that it has nothing to do with.
_LEAST_SECRET = 6
# What stands alone before the host of an address is a token, or a name such as `git`.
_LEAST_LONE_SECRET = 16
_LEAST_HOST = 3
# The names of a secret's option, argument or header; `new-tokens` and `tokenizer` are none.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:[a-z0-9]*(?:token|secret|password|passphrase|apikey)|passwd|pass|pwd|pat|auth|authorization|credentials?"
    r"|(?:api|access|secret|private|auth|signing|encryption)_?key)$"
)
# A metric's name that ends as a secret's does: `time_to_first_token:5%` is a rule.
_NO_SECRETS = ("time_to_first_token",)
# The same as `_SECRET_NAME` of an environment variable, wherever in its name.
_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:[A-Z0-9]*(?:TOKEN|SECRET|PASSWORD|PASSPHRASE|APIKEY)|PASSWD|PASS|PAT|AUTH|KEY|CREDENTIALS?)(?:_|$)"
)
# What services give out; each has a beginning of its own.
_KNOWN_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_(?:[A-Za-z0-9]{16,}|(?=[A-Za-z]*\d)[A-Za-z0-9]{6,})"
    r"|gh[oprsu]_[A-Za-z0-9]{6,}|github_pat_\w{6,}|glpat-[\w-]{6,}|pypi-Ag[\w-]{6,}"
    r"|sk-(?=[\w-]*\d)[\w-]{8,}|sk-[\w-]{20,}|xox[abeoprs]-[\w-]{6,}|AIza[\w-]{30,}"
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}|eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"
    r")"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+|authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)(?=[^\s'\"]*\d)[^\s'\"]{6,}")
_IN_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/?#'\"<>]*@")
# ``user:password@host.tld`` without a scheme, as in a remote of ssh; ``latency:5%@compile`` is none.
_BEFORE_HOST = re.compile(r"(?<![\w.@:%/-])[\w.+-]{1,64}:[^\s@/%]{6,256}@(?=[\w-]{1,64}\.[A-Za-z])")
_VALUE = r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s'\"]+)"
_NAMED = re.compile(rf"(?<![\w.-])(?P<name>[\w.-]++)(?P<between>['\"]?\s*=\s*|['\"]?\s*:\s*(?!//)){_VALUE}")
_FLAG = re.compile(rf"(?<![\w.-])(?P<name>--?[A-Za-z][\w-]*+)(?P<between>\s+)(?!-){_VALUE}")
_PLAIN = re.compile(r"[\w@%+=:,./~-]+", re.ASCII)
_ASSIGNED = re.compile(r"(?<![\w.-])(?P<name>[\w.-]++)=")
_PATH = re.compile(r"(?<![\w.:/~-])~?(?:/[^\s/'\"<>|:;,()\[\]{}`]+)+/?")
_QUOTED_PATH = re.compile(r"(?P<quote>['\"`])(?P<path>~?/[^'\"`\n]*)(?P=quote)")
_WHOLE_PATH = re.compile(r"~?/(?:(?![:,;]\s)[^\n])*")
# Folders that every machine has; they name the counter or device that a reason is about.
_OF_EVERY_MACHINE = ("/dev/", "/proc/", "/sys/")
_NOBODYS_HOSTS = ("localhost", "localhost.localdomain")


def without_credentials(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """`text` without tokens, passwords, users in URLs, and the values of variables that their names call secret.

    For messages, which may name a folder as it was given.
    """
    for value in _secrets_of(tuple(_secret_variables(environment))):
        text = text.replace(value, HIDDEN)
    text = _IN_URL.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _BEFORE_HOST.sub(f"{HIDDEN}@", text)
    text = _BEARER.sub(rf"\g<1>{HIDDEN}", text)
    text = _KNOWN_TOKENS.sub(HIDDEN, text)
    return _FLAG.sub(_without_value, _NAMED.sub(_without_value, text))


def without_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """As `without_credentials`, with ``~`` for the home folder and for the user's name in paths and addresses."""
    text = without_credentials(text, environment)
    personal = _personal(environment.get("HOME", ""), _user_names(environment))
    return text if personal is None else personal.sub("~", text)


def anonymized(text: str, environment: Mapping[str, str] = os.environ, host: str | None = None) -> str:
    """As `without_secrets`, with the last part alone of absolute paths, and without the host's name."""
    text = without_secrets(text, environment)
    text = _without_host(text, platform.node() if host is None else host)
    if _WHOLE_PATH.fullmatch(text):
        return _last_part(text)
    text = _QUOTED_PATH.sub(lambda found: f"{found['quote']}{_last_part(found['path'])}{found['quote']}", text)
    return _PATH.sub(lambda found: _last_part(found[0]), text)


def command_line(arguments: Iterable[str], show: Callable[[str], str] = without_secrets) -> str:
    """Arguments as one line for a shell, each shown by `show`; the value of a secret one is left out whole."""
    shown: list[str] = []
    follows_secret = False
    for argument in arguments:
        name, sign, value = argument.partition("=")
        secret = next((found for found in _ASSIGNED.finditer(argument) if _is_secret(found["name"])), None)
        if follows_secret and not argument.startswith("-"):
            shown.append(HIDDEN)
        elif secret is not None:
            shown.append(show(argument[: secret.end()] + HIDDEN))
        else:
            # A value of its own, so that a path in it is seen as a whole.
            is_option = bool(sign) and re.fullmatch(r"-{0,2}[\w.-]+", name) is not None
            shown.append(show(f"{name}={show(value)}" if is_option else argument))
        follows_secret = not sign and argument.startswith("-") and _is_secret(argument)
    # What stands between quotes may still read as a name and its value.
    return show(" ".join(map(_quoted, shown)))


def leaves(value: Any, show: Callable[[str], str]) -> Any:
    """A value of JSON with every text in it shown by `show`, but answers (`AS_MEASURED`); keys are names, and stay."""
    if type(value) is str:
        return show(value)
    if isinstance(value, dict):
        return {key: item if key in AS_MEASURED else leaves(item, show) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        shown = [leaves(item, show) for item in value]
        return tuple(shown) if isinstance(value, tuple) else shown
    return value


def commit_facts(found: Mapping[str, Any], *, anonymous: bool) -> dict[str, Any]:
    """What pytest-benchmark knows of the commit: no user of a remote's address; of an anonymous run nothing."""
    if anonymous:
        # A commit of a public repository leads to it, as do its times.
        return {name: value if isinstance(value, bool) else None for name, value in found.items() if name != "error"}
    facts: dict[str, Any] = leaves(dict(found), without_secrets)
    if isinstance(facts.get("project"), str):
        # The name is the last part of the remote's address, which may be all of it: ``user:password@host``.
        facts["project"] = facts["project"].rpartition("@")[2]
    return facts


def machine_facts(found: Mapping[str, Any], *, anonymous: bool) -> dict[str, Any]:
    """What pytest-benchmark knows of the machine; of an anonymous run without the host's name."""
    facts: dict[str, Any] = leaves(dict(found), anonymized if anonymous else without_secrets)
    return {**facts, "node": None} if anonymous and "node" in facts else facts


def _quoted(argument: str) -> str:
    """As a shell needs it, but for what stands for something else: a shell expands ``~`` where no quotes are."""
    return argument if _PLAIN.fullmatch(argument.replace(HIDDEN, "x")) else shlex.quote(argument)


def _without_value(found: re.Match[str]) -> str:
    value = found["value"]
    is_prose = ":" in found["between"] and not re.search(r"\d", value)
    if not _is_secret(found["name"]) or is_prose or value.strip("'\"") == HIDDEN:
        return found[0]
    mark = value[0] if value[0] in "'\"" else ""
    return f"{found['name']}{found['between']}{mark}{HIDDEN}{mark}"


def _is_secret(name: str) -> bool:
    name = re.sub(r"[-.]", "_", name).strip("_").lower()
    return name not in _NO_SECRETS and _SECRET_NAME.search(name) is not None


def _secret_variables(environment: Mapping[str, str]) -> Iterable[str]:
    for name, value in environment.items():
        if _SECRET_VARIABLE.search(name.upper()):
            yield value
        # A password in an address may be told without the rest of it.
        for address in _IN_URL.finditer(value):
            user, _, password = address[0].partition("://")[2][:-1].partition(":")
            yield password or (user if len(user) >= _LEAST_LONE_SECRET else "")


@lru_cache(maxsize=8)
def _secrets_of(values: tuple[str, ...]) -> tuple[str, ...]:
    """These and how they look in an address and in JSON, the longest first, since one may be part of another."""
    seen: set[str] = set()
    for value in values:
        seen |= {value, unquote(value), quote(value, safe="", errors="surrogateescape"), json.dumps(value)[1:-1]}
    return tuple(sorted((form for form in seen if _may_be_secret(form)), key=len, reverse=True))


def _may_be_secret(value: str) -> bool:
    return len(value) >= _LEAST_SECRET and not value.isdecimal() and not os.path.exists(value)  # noqa: PTH110  # NUL


def _user_names(environment: Mapping[str, str]) -> tuple[str, ...]:
    names = {environment.get(name, "") for name in ("LOGNAME", "USER", "USERNAME")} | {_account()[0]}
    # Of the superuser, who is nobody in particular, no name is told.
    return tuple(sorted(names - {"", "root"}))


@lru_cache(maxsize=1)
def _account() -> tuple[str, str]:
    """Name and home folder of the user that the process runs as; empty where the system knows none."""
    try:
        import pwd

        entry = pwd.getpwuid(os.getuid())
    except (ImportError, KeyError):
        return "", ""
    return entry.pw_name, entry.pw_dir


@lru_cache(maxsize=8)
def _personal(home: str, users: tuple[str, ...]) -> re.Pattern[str] | None:
    """The home folder, and a user's name as a part of a path or before an ``@``; `None` where there is neither."""
    given = {folder.rstrip("/") for folder in (home, _account()[1])} - {""}
    homes = set(filter(_is_of_one_user, given | set(map(os.path.realpath, given))))
    forms = [rf"(?<![\w.~-]){re.escape(folder)}(?![\w-]|\.\w)" for folder in sorted(homes, key=len, reverse=True)]
    forms += [rf"(?<=/){re.escape(user)}(?=[/\s'\":,;)]|$)|(?<=-of-){re.escape(user)}(?![\w-])" for user in users]
    forms += [rf"(?<![\w.-]){re.escape(user)}(?=@[\w-])" for user in users]
    return re.compile("|".join(forms)) if forms else None


def _is_of_one_user(folder: str) -> bool:
    """Not ``/``, ``/tmp``, ``/dev/null`` or what else is home to users who are nobody."""
    is_deep = folder.count("/") > 1 or folder == "/root"
    return folder.startswith("/") and is_deep and not folder.startswith(_OF_EVERY_MACHINE)


def _without_host(text: str, host: str) -> str:
    for name in dict.fromkeys((host, host.partition(".")[0])):
        if len(name) >= _LEAST_HOST and name not in _NOBODYS_HOSTS:
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", HIDDEN, text)
    return text


def _last_part(path: str) -> str:
    if path.startswith(_OF_EVERY_MACHINE):
        return path
    return Path(path).name or path
