"""Pages of the published run in a browser. Skipped where there is none, except in tox's environment `page`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from blip_fixtures.record import read_records
from blip_fixtures.report.page.history import History, read_history
from blip_fixtures.report.page.page import write_page
from tests.page.stored import store_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIRED = os.environ.get("BLIP_PAGE_REQUIRE") == "1"
PUBLISHED = Path(__file__).parents[2] / "reports" / "published" / "instructblip-tiny" / "records.json"


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    if not REQUIRED:
        pytest.importorskip("selenium", reason="selenium is not installed")
        for name in ("chromium", "chromedriver"):
            if shutil.which(name) is None:
                pytest.skip(f"{name} is not installed")
    from tests.page.browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose machine has no stored runs."""
    return write_page(read_records(PUBLISHED), tmp_path_factory.mktemp("plain"), history=History())


@pytest.fixture(scope="session")
def russian_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(read_records(PUBLISHED), tmp_path_factory.mktemp("russian"), lang="ru")


@pytest.fixture(scope="session")
def history_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run after fourteen others, the first eight of them slower."""
    storage = tmp_path_factory.mktemp("storage")
    store_runs(storage, read_records(PUBLISHED), count=14, slower_until=8)
    return write_page(read_records(PUBLISHED), tmp_path_factory.mktemp("history"), history=read_history(storage))


def _page(driver: Any, path: Path) -> Any:
    from tests.page.browser import Page

    found = Page(driver, path)
    found.resize(1400)
    found.prefer(color_scheme="light")
    found.open()
    return found


@pytest.fixture
def page(driver: Any, plain_path: Path) -> Any:
    return _page(driver, plain_path)


@pytest.fixture
def russian(driver: Any, russian_path: Path) -> Any:
    return _page(driver, russian_path)


@pytest.fixture
def with_history(driver: Any, history_path: Path) -> Any:
    return _page(driver, history_path)
