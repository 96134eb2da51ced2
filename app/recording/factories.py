"""How a process makes what reaches models, tools and evidence: as it is, recording, or replaying."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from openai import DefaultAsyncHttpxClient

from app.recording.player import Player
from app.recording.recorder import Recorder
from app.recording.replaying import (
    ReplayingEvidence,
    ReplayingGateway,
    ReplayingLedger,
    ReplayingToll,
    ReplayingTransport,
)
from app.recording.taps import RecordingEvidence, RecordingGateway, RecordingLedger, RecordingToll
from graphs.evidence.store import EvidenceStore
from graphs.spending.ledger import Ledger
from graphs.spending.toll import Toll
from graphs.tools.gateway import ToolGateway


@dataclass(frozen=True)
class Factories:
    """They take the arguments of the classes that are the defaults."""

    http: Callable[[], DefaultAsyncHttpxClient] = DefaultAsyncHttpxClient
    toll: Callable[..., Toll] = Toll
    gateway: Callable[..., ToolGateway] = ToolGateway
    evidence: Callable[..., EvidenceStore] = EvidenceStore
    ledger: Callable[..., Ledger] = Ledger


def replaying(player: Player) -> Factories:
    """What answers from a record, and reaches nothing."""
    transport = partial(ReplayingTransport, player)
    return Factories(
        http=lambda: DefaultAsyncHttpxClient(transport=transport()),
        toll=partial(ReplayingToll, player=player, clock=player.seconds, sleep=_shortly),
        gateway=partial(ReplayingGateway, player),
        evidence=partial(ReplayingEvidence, player),
        ledger=partial(ReplayingLedger, player),
    )


def on_cassette(player: Player) -> Factories:
    """What has the tools' answers from a cassette. The stand-in has the models'."""
    return Factories(gateway=partial(ReplayingGateway, player), evidence=partial(ReplayingEvidence, player))


async def _shortly(_: float) -> None:
    await asyncio.sleep(0.01)


def recording(recorder: Recorder) -> Factories:
    """What records to this recorder."""
    return Factories(
        toll=partial(RecordingToll, recorder=recorder),
        gateway=partial(RecordingGateway, recorder),
        evidence=partial(RecordingEvidence, recorder),
        ledger=partial(RecordingLedger, recorder),
    )
