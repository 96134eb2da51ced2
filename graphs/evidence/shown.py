"""What a model reads of a tool result. The whole result stays in the evidence store, where claims are checked."""

import re

from graphs.evidence.store import Evidence
from graphs.untrusted.spotlight import FLAGGED, UNTRUSTED, spotlighted

_ADDRESS = re.compile(r"(https?://[^/\s<>\"')\]]+/)[^\s<>\"')\]]{8,}")


def shown(evidence_id: str, evidence: Evidence, *, addresses: bool) -> str:
    """The result under its id. An agent that cannot fetch `addresses` gets their hosts only: it has no use for the
    rest, and reports cite sources by their evidence."""
    text = evidence.text if addresses else _ADDRESS.sub(r"\1…", evidence.text)
    label = FLAGGED if evidence.flags else UNTRUSTED if evidence.untrusted else ""
    return f"{evidence_id}\n{spotlighted(text, label)}"
