"""How many examples a property is tried with."""

from hypothesis import settings

USUAL = 50


def at_most(number: int) -> int:
    """This many, or as few as the profile "fast" allows."""
    allowed = settings().max_examples
    return number if allowed >= USUAL else min(number, allowed)
