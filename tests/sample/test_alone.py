"""The sample business is in one place: nothing else names it, what it sells or where."""

import re
import subprocess

from tests.docs.pages import ROOT

WORDS = r"voltbay|chargers?|wallbox(?:es)?|germany|france|italy|spain|sweden|norway|netherlands|united\s+kingdom"
ITS_OWN = ("sample/", "tests/", "README.md")


def test_nothing_but_the_sample_and_the_tests_names_it() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [
        each for each in listed.split("\0") if each and not each.startswith(ITS_OWN) and not each.endswith(".lock")
    ]
    texts = {each: (ROOT / each).read_text("utf-8", "replace") for each in names if (ROOT / each).is_file()}
    found = {each: re.findall(rf"\b(?:{WORDS})\b", text, re.IGNORECASE) for each, text in texts.items()}
    assert {each: words for each, words in found.items() if words} == {}
