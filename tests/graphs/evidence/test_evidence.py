"""Numbers travel by reference: what one tool returned is handed to the next as it was."""

import pytest
from redis.asyncio import Redis

from graphs.errors import ToolFailure
from graphs.evidence.store import Evidence, EvidenceStore
from graphs.state import Json

TABLE: Json = {
    "kind": "table",
    "title": "revenue by country and year",
    "columns": ["country", "year", "revenue_eur"],
    "rows": [["Germany", "2023", 10.5], ["Germany", "2024", 12.25], ["France", "2024", 7]],
    "notes": [],
    "data_version": "v1",
}


def evidence(content: Json, text: str = "") -> Evidence:
    return Evidence(task="T1", server="s", tool="t", arguments={}, text=text, content=content, duration_ms=1)


@pytest.fixture
def store(redis_client: Redis) -> EvidenceStore:
    return EvidenceStore(redis_client, ttl_seconds=60)


async def test_ids_count_up_per_job_and_results_come_back_as_they_were(store: EvidenceStore) -> None:
    first, second = evidence(TABLE, "one"), evidence(TABLE, "two")
    assert [await store.add("a", first), await store.add("a", second), await store.add("b", first)] == [
        "E1",
        "E2",
        "E1",
    ]
    assert await store.many("a", ["E2", "E1", "E9", "next"]) == {"E2": second, "E1": first}


async def test_a_reference_is_filled_with_the_rows_it_names(store: EvidenceStore) -> None:
    evidence_id = await store.add("a", evidence(TABLE))
    reference = {
        "evidence_id": evidence_id,
        "label_column": "year",
        "value_column": "revenue_eur",
        "where": {"country": "Germany"},
    }
    resolved = await store.resolved("a", {"series": reference, "horizon": 2})
    assert resolved["horizon"] == 2
    assert resolved["series"]["points"] == [{"label": "2023", "value": 10.5}, {"label": "2024", "value": 12.25}]
    assert resolved["series"]["evidence_id"] == evidence_id


async def test_without_columns_the_first_labels_and_the_only_number_measures(store: EvidenceStore) -> None:
    evidence_id = await store.add("a", evidence(TABLE))
    resolved = await store.resolved("a", {"series": {"evidence_id": evidence_id}})
    assert resolved["series"]["points"][0] == {"label": "Germany", "value": 10.5}


async def test_points_given_by_hand_are_left_alone(store: EvidenceStore) -> None:
    given = {"series": {"evidence_id": "E9", "points": [{"label": "2024", "value": 1}]}}
    assert await store.resolved("a", given) == given


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"evidence_id": "E9"}, "no evidence E9"),
        ({"evidence_id": "E2"}, "E2 is not a table"),
        ({"evidence_id": "E1", "value_column": "profit"}, "no column profit; it has: country, year, revenue_eur"),
        ({"evidence_id": "E1", "where": {"country": "Japan"}}, "no row of E1"),
        ({"evidence_id": "E3"}, "say which column of E3 to measure, as value_column: year, units"),
    ],
)
async def test_a_reference_that_leads_nowhere_says_so(store: EvidenceStore, reference: Json, message: str) -> None:
    await store.add("a", evidence(TABLE))
    await store.add("a", evidence({"kind": "document"}, "text"))
    await store.add("a", evidence({**TABLE, "columns": ["country", "year", "units"], "rows": [["Germany", 2024, 3]]}))
    with pytest.raises(ToolFailure, match=message):
        await store.resolved("a", {"series": reference})


def test_commas_between_cells_do_not_join_numbers() -> None:
    content = {**TABLE, "rows": [["Germany", "2024", 123], ["France", "2024", 456]]}
    numbers = evidence(content, "Germany,2024,123,456").numbers
    assert {int(each) for each in numbers} == {2024, 123, 456}


@pytest.mark.parametrize(
    ("content", "text", "known"),
    [
        ({"kind": "document"}, "507 units", {507}),
        ({"kind": "document", "unreliable": True}, "507 units", set()),
        ({**TABLE, "rows": [["A", "507 units", 1], ["B", "612 units", 2]]}, "", {507, 1, 612, 2}),
        ({**TABLE, "rows": [["A", "507 units", 1], ["B", "612 units", 2]], "unreliable_rows": [0]}, "", {612, 2}),
    ],
)
def test_numbers_of_a_text_that_was_lost_in_its_file_support_nothing(content: Json, text: str, known: set[int]) -> None:
    assert evidence(content, text).numbers == known


def test_a_document_is_referred_to_with_what_a_citation_needs() -> None:
    document = {
        "kind": "document",
        "id": "d",
        "title": "Brief",
        "publisher": "ACEA",
        "date": "2026-01",
        "url": "https://example.org",
        "confidence": "high",
        "data_version": "v1",
    }
    reference = evidence(document, "17 million cars").reference("E1")
    assert reference["source"] == {
        "id": "d",
        "publisher": "ACEA",
        "date": "2026-01",
        "url": "https://example.org",
        "confidence": "high",
    }
    assert (reference["kind"], reference["title"], reference["rows"]) == ("document", "Brief", 0)


def test_a_page_of_the_web_is_referred_to_as_what_it_is() -> None:
    page = {
        "kind": "document",
        "title": "T",
        "url": "https://example.org",
        "untrusted": True,
        "retrieved": "2026-11-21",
    }
    reference = evidence(page, "17 million cars").reference("E1")
    assert reference["source"] is not None
    assert (reference["untrusted"], reference["source"]["retrieved"]) == (True, "2026-11-21")
