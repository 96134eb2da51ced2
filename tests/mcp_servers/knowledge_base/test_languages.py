# ruff: noqa: RUF001  letters that look like others
"""Words of every script are found: with and without accents, and where no space divides them."""

from pathlib import Path

import pytest

from mcp_servers.base.results import Table
from mcp_servers.knowledge_base.passages import terms
from mcp_servers.knowledge_base.server import build
from tests.data import CASES

TEXTS = {
    "german": "# Bericht\n\nDie Größe der Flotte in Köln: 412 Busse der Straße.",
    "french": "# Rapport\n\nLes véhicules électriques à Orléans: 38.",
    "polish": "# Raport\n\nŁadowarki w Łodzi: 12.",
    "czech": "# Zpráva\n\nNabíjecí stanice v Plzni: 9.",
    "turkish": "# Rapor\n\nŞarj istasyonları İzmir'de: 5.",
    "vietnamese": "# Báo cáo\n\nTrạm sạc ở Hà Nội: 77.",
    "russian": "# Отчёт\n\nЗарядных станций в Москве: 501.",
    "greek": "# Έκθεση\n\nΦορτιστές στην Αθήνα: 61.",
    "arabic": "# تقرير\n\nعدد الشواحن في دبي: 88.",
    "hindi": "# रिपोर्ट\n\nदिल्ली में चार्जर: 90.",
    "thai": "# รายงาน\n\nจำนวนสถานีชาร์จในกรุงเทพ 250 แห่ง",
    "korean": "# 보고서\n\n서울의 충전기는 33대입니다.",
    "khmer": "# របាយការណ៍\n\nចំនួនស្ថានីយ៍សាកថ្ម 14",
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("中国电动汽车", "chinese"),
        ("销量", "chinese"),
        ("充電器の台数", "japanese"),
        ("日本", "japanese"),
        ("größe", "german"),
        ("Grosse", "german"),
        ("koln strasse", "german"),
        ("vehicules electriques", "french"),
        ("VÉHICULES", "french"),
        ("lodzi ladowarki", "polish"),
        ("nabijeci", "czech"),
        ("izmir", "turkish"),
        ("tram sac ha noi", "vietnamese"),
        ("отчет москве", "russian"),
        ("φορτιστες", "greek"),
        ("الشواحن", "arabic"),
        ("दिल्ली", "hindi"),
        ("กรุงเทพ", "thai"),
        ("สถานีชาร์จ", "thai"),
        ("충전기", "korean"),
        ("សាកថ្ម", "khmer"),
        ("４１２", "german"),  # digits as East Asian keyboards write them
    ],
)
async def test_words_are_found_in_their_own_script(tmp_path: Path, query: str, found: str) -> None:
    for name in ("chinese", "japanese"):
        (tmp_path / f"{name}.md").write_bytes((CASES / "documents" / "markdown" / f"{name}.md").read_bytes())
    for name, text in TEXTS.items():
        (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
    answer = await build(tmp_path, None).call_tool("search", {"query": query, "limit": 1})
    table = Table.model_validate(answer.structuredContent)
    assert [row[0] for row in table.rows] == [found]


def test_a_sentence_ends_in_every_script_and_an_excerpt_with_it() -> None:
    assert terms("2024年中国") == ["2024", "年中", "中国"]
    assert terms("車") == ["車"]
    assert terms("Café CAFE café") == [*terms("cafe")] * 3
