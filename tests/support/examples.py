"""How often a property is tried: each has its number, `make quick` takes a share of it (tests/conftest.py)."""

from hypothesis import settings

USUAL = 100
"""What the profiles call the usual number of examples."""


def examples(many: int = USUAL, **more) -> settings:
    """Settings for a property that wants MANY examples in `make test`, and the share of the profile elsewhere."""
    return settings(max_examples=max(1, many * settings.default.max_examples // USUAL), **more)
