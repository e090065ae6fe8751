"""Headless Chromium for tests of pages: `pytest_plugins = ["browser"]` in a test file, then the fixture `chromium`."""

import json
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver

# What Chromium would else fetch on its own is no business of a test.
QUIET = ["disable-background-networking", "disable-component-update", "disable-sync", "disable-quic", "no-first-run"]


class Browser(webdriver.Chrome):
    """Selenium's Chrome, which also says what its pages asked for and complained about."""

    def requested(self) -> list[str]:
        """Addresses asked for since the last call, those within the page (data:) or the browser (chrome:) left out."""
        events = [json.loads(entry["message"])["message"] for entry in self.get_log("performance")]
        asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(("data:", "chrome:"))]

    def complaints(self) -> list[str]:
        """Warnings and errors in the console since the last call."""
        return [entry["message"] for entry in self.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with a profile of its own, 1400 px wide; Debian's packages chromium and chromium-driver bring it."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("chromium or chromedriver is missing: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = f"user-data-dir={tmp_path_factory.mktemp('chromium')}"
    for flag in ["headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1400,900", profile, *QUIET]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Browser(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()
