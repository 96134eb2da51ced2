"""Values that a checkpoint may hold, and what "came back the same" means."""

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(codec="utf-8"))
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | st.integers(-(2**130), 2**130) | floats | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(texts, inner, max_size=20),
    max_leaves=40,
)


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, all the way down; 0.0 and -0.0 differ, and so does the order of a dict."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(repr(left) == repr(right))
