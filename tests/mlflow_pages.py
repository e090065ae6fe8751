"""MLflow's UI as a reader walks through it: `make ui` in a project, and clicks in a browser."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from browser import Browser
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S, POLL_S = 60, 0.1
# What a page answers that is still building itself.
MOVING = (NoSuchElementException, StaleElementReferenceException, ElementNotInteractableException, ElementClickInterceptedException)


@contextmanager
def make_ui(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """`make ui`, as it stands in the Makefile, but with this environment's packages; the address that it prints, once it is served."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["make", "--old-file=.venv/ready", "ui", f"PORT={port}"]
    log = folder / "ui.log"
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        WebDriverWait(server, PATIENCE_S, POLL_S).until(
            lambda running: running.poll() is not None or "Application startup complete" in log.read_text()
        )
        found = re.search(r"http://\S+", log.read_text())
        assert found, log.read_text()
        assert server.poll() is None, log.read_text()
        yield found[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(PATIENCE_S)
        log.unlink()


class Pages:
    """What the browser shows. Every method waits for it."""

    def __init__(self, browser: Browser) -> None:
        self.browser, self.clicks = browser, 0
        self.wait = WebDriverWait(browser, PATIENCE_S, POLL_S, ignored_exceptions=MOVING)

    def open(self, address: str) -> None:
        self.browser.get(address)
        self.clicks = 0

    def click(self, text: str) -> None:
        """What bears this very text: a link, a tab, a file."""
        bears = f"normalize-space()='{text}'"
        place = By.XPATH, f"//*[{bears} and not(*[{bears}])]"
        self.wait.until(lambda browser: browser.find_element(*place).click() or True, text)
        self.clicks += 1
        self.browser.switch_to.window(self.browser.window_handles[-1])  # links in MLflow's notes open one

    def text(self, *expected: str) -> str:
        """All of the page's text, once each of these is in it."""
        self.wait.until(lambda browser: all(one in browser.find_element(By.TAG_NAME, "body").text for one in expected), str(expected))
        return self.browser.find_element(By.TAG_NAME, "body").text

    def rendered(self, css: str) -> WebElement:
        """An element that is there and has a size."""
        return self.wait.until(
            lambda browser: next((one for one in browser.find_elements(By.CSS_SELECTOR, css) if one.size["height"]), None)
        )
