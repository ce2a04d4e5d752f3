"""``python -m harness``."""

import sys

try:
    from harness.cli import main
except ModuleNotFoundError as error:
    sys.exit(
        f"error: the package {error.name!r} is not installed here; run `make setup`, then "
        "`. .venv/bin/activate`, or call .venv/bin/python"
    )

sys.exit(main())
