from graphs.checkpoint.blobs import Blobs


def _kinds(blobs: Blobs, names: list[str], items: list[str]) -> str:
    """F for each channel stored whole, D for each stored as an addition."""
    return "".join(blobs.encode(("thread", "", name), "1", items)[:1].decode() for name in names)


def test_an_addition_follows_what_is_remembered() -> None:
    blobs = Blobs()
    assert _kinds(blobs, ["a"], ["x" * 600]) == "F"
    assert _kinds(blobs, ["a"], ["x" * 600, "y"]) == "D"
    assert _kinds(blobs, ["a"], ["y"]) == "F"


def test_a_chain_of_additions_ends_after_64() -> None:
    blobs = Blobs()
    kinds = "".join(_kinds(blobs, ["a"], ["x" * 600] * number) for number in range(1, 200))
    assert max(map(len, kinds.split("F"))) == 63


def test_only_so_many_bytes_are_remembered_the_newest() -> None:
    blobs, names = Blobs(), [str(number) for number in range(20)]
    megabyte = ["x" * 2**20]
    for _ in range(3):
        assert _kinds(blobs, names, megabyte) == "F" * 20

    assert _kinds(blobs, names[10:], [*megabyte, "more"]) == "D" * 10
