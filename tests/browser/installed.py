"""Which browser the tests drive; ``python -m tests.browser.installed`` prints its path, if any."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def browser_path() -> str | None:
    """Return the first browser on the path that tests can drive."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


if __name__ == "__main__":
    print(browser_path() or "")
