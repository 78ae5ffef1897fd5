"""Debian's chromium, headless and offline, and what it says of a page."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BINARIES = ("chromium", "chromedriver")
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--no-first-run",
)
# Every chart that can be seen is drawn or says why not.
_DRAWN = """
return [...document.querySelectorAll('.plot')].every(
  (plot) => plot.hidden || plot.offsetParent === null || plot.dataset.rows !== undefined);
"""


class Page:
    """One page in the browser."""

    def __init__(self, driver: webdriver.Chrome, path: Path) -> None:
        self.driver = driver
        self.path = path

    def open(self, state: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(f"{self.path.as_uri()}{state}")
        self.wait_until_drawn()

    def wait_until_drawn(self) -> None:
        WebDriverWait(self.driver, 30).until(lambda driver: driver.execute_script(_DRAWN))

    def wait_for(self, script: str, value: object) -> None:
        """Until the script returns the value."""
        WebDriverWait(self.driver, 15).until(lambda driver: driver.execute_script(f"return {script}") == value)

    def tell(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *arguments)

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text_of(self, selector: str) -> str:
        return str(self.tell("document.querySelector(arguments[0]).textContent", selector))

    def resize(self, width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, **features: str) -> None:
        """``color_scheme="dark"``, ``reduced_motion="reduce"``."""
        found = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": found})

    def console(self) -> list[str]:
        """What the browser said of the page since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for, other than the page itself."""
        asked = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"].partition("#")[0])
        own = (self.path.as_uri(), "about:blank")
        return [url for url in asked if url not in own and not url.startswith("data:")]


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """The browser, without any network."""
    browser, driver_path = map(shutil.which, BINARIES)
    assert browser is not None
    assert driver_path is not None
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield driver
    finally:
        driver.quit()
