"""Pages in a real browser: opened from their file, offline, with all that they complain about."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

UP = Path(__file__).resolve().parents[2] / "infra" / "browser" / "up"
CANNOT_BE_HAD = 2
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
}

# Registered before the page's first line, since a page that breaks its policy says so only as an event.
WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


@dataclass
class Opened:
    """A page, what it asked for beyond itself and what went wrong in it."""

    page: Page
    asked_for: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """Errors of scripts, what the console tells, breaches of the policy, and requests to anywhere."""
        return [*self.errors, *self.asked_for, *self.page.evaluate("window.__violations")]


@contextmanager
def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Opened]:
    """A page from its file, in a context of its own that has no network.

    `options` are those of Playwright's `Browser.new_context`: ``viewport``, ``color_scheme``, …
    """
    context = browser.new_context(offline=True, **options)
    try:
        context.set_default_timeout(10_000)
        context.add_init_script(WATCH)
        found = Opened(context.new_page())
        own = path.resolve().as_uri()

        def ask(url: str) -> None:
            if not url.startswith("data:") and url.partition("#")[0] != own:
                found.asked_for.append(url)

        found.page.on("request", lambda request: ask(request.url))
        found.page.on("console", lambda message: found.errors.append(f"{message.type}: {message.text}"))
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        found.page.goto(own)
        yield found
    finally:
        context.close()


def accessibility(page: Page) -> str:
    """What axe-core finds against WCAG 2.2 A and AA, contrast included; empty if nothing."""
    # Contrast is that of the page at rest.
    page.add_style_tag(
        content="*, *::before, *::after { transition: none !important; animation: none !important }"
    )
    found = Axe().run(page, options=AXE_OPTIONS)
    return found.generate_report() if found.violations_count else ""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped where none can be had, and fails there in continuous integration."""
    done = subprocess.run([UP], capture_output=True, text=True, check=False)
    if done.returncode:
        if "CI" in os.environ or done.returncode != CANNOT_BE_HAD:
            pytest.fail(f"no browser: {done.stderr}", pytrace=False)
        pytest.skip(f"no browser: {done.stderr.strip()}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=done.stdout.strip(), args=list(ARGUMENTS))
        try:
            yield started
        finally:
            started.close()
