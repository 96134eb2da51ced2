"""Every field of the state comes back from Redis as it was put: equal in value and in type."""

from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.managed.base import is_managed_value
from typing_extensions import is_typeddict

from graphs.checkpoint.saver import RedisSaver
from graphs.state import MAX_ENTRIES, ResearchState, merged
from tests.examples import at_most
from tests.graphs.checkpoints import new_thread, put, values_of
from tests.graphs.redis_servers import Connect
from tests.graphs.strategies import json_values, same, texts

FIELDS = {name: hint for name, hint in get_type_hints(ResearchState).items() if name != "remaining_steps"}


def values_for(hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911  one return per kind of annotation
    """Values of a state field, made from its annotation: a new field is tested by being declared."""
    if hint is Any:
        return json_values
    if is_typeddict(hint):
        fields = {name: values_for(each) for name, each in get_type_hints(hint).items()}
        required = {name: each for name, each in fields.items() if name in hint.__required_keys__}
        return st.fixed_dictionaries(required, optional={k: v for k, v in fields.items() if k not in required})
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        return st.dictionaries(texts, values_for(arguments[1]), max_size=3)
    if origin is list:
        return st.lists(values_for(arguments[0]), max_size=3)
    if arguments:
        return st.one_of(*(values_for(each) for each in arguments))
    scalars: dict[Any, st.SearchStrategy[Any]] = {
        str: texts,
        int: st.integers(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return scalars[hint]


def test_the_one_managed_value_is_not_stored() -> None:
    assert is_managed_value(get_type_hints(ResearchState, include_extras=True)["remaining_steps"].__metadata__[0])


@pytest.mark.parametrize("name", FIELDS)
async def test_a_field_comes_back_as_it_was(name: str, valkey: Connect) -> None:
    client = valkey()
    saver = RedisSaver(client, ttl_seconds=60)

    @settings(max_examples=at_most(25), deadline=None)
    @given(values_for(FIELDS[name]))
    def round_trip(value: Any) -> None:
        seen.append(value)

    seen: list[Any] = []
    round_trip()
    try:
        for value in seen:
            config = await put(saver, new_thread(), {name: value})
            assert same((await values_of(saver, config))[name], value)
    finally:
        await client.aclose()


@given(st.dictionaries(texts, json_values, max_size=5), st.dictionaries(texts, json_values, max_size=5))
def test_the_newer_entry_wins_and_nothing_is_lost_or_changed_in_place(left: Any, right: Any) -> None:
    before = dict(left)
    both = merged(left, right)
    assert set(both) == set(left) | set(right)
    assert all(both[key] is right[key] for key in right)
    assert left == before


def test_growth_without_bound_is_refused() -> None:
    full: dict[str, Any] = {str(number): {} for number in range(MAX_ENTRIES)}
    assert len(merged(full, {"0": {}})) == MAX_ENTRIES
    with pytest.raises(RuntimeError, match="may hold 400"):
        merged(full, {"one more": {}})
