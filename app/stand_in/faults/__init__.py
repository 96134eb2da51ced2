"""How a model misbehaves: profiles by name, each the same at every run.

- profile.py: what a profile may change
- conduct.py, wandering.py: agents and supervisors that never finish, or finish with nothing; wordings.py: their words
- insatiable.py: a team that never has enough
- gullible.py: agents that obey what they read
- garbled.py: answers that cannot be used
- failures.py: answers that never arrive
"""

from collections.abc import Mapping

from app.stand_in.faults import conduct, failures, garbled, gullible, insatiable, wandering
from app.stand_in.faults.profile import HONEST, Failure, Profile, spoken_by

PROFILES: Mapping[str, Profile] = {
    "honest": HONEST,
    "clarify": Profile("two agents ask each other back for ever, in ever new words", spoken_by(conduct.clarify)),
    "busy": Profile("the same, with tool calls that look like work", spoken_by(wandering.busy)),
    "hoarder": Profile("agents fetch all there is, again and again", spoken_by(wandering.hoarder)),
    "insatiable": Profile(
        "a team that never has enough, at a provider that sometimes fails",
        spoken_by(insatiable.insatiable),
        failure=failures.sometimes,
    ),
    "curious": Profile("agents read one page of a table after another, for ever", spoken_by(wandering.curious)),
    "verbose": Profile("the same, and they think aloud", spoken_by(wandering.verbose)),
    "verbose_no_usage": Profile("the same, and answers tell no usage", spoken_by(wandering.verbose), tells_usage=False),
    "crowd": Profile("one plan of twelve tasks at once, which all think aloud", spoken_by(wandering.crowd)),
    "empty": Profile("agents are done at once, with a number they made up", spoken_by(conduct.empty)),
    "deadlock": Profile("every plan has two tasks that wait for each other", spoken_by(conduct.deadlock)),
    "gullible": Profile("the team does what documents tell it to do", spoken_by(gullible.gullible)),
    "broken_json": Profile("structured answers and arguments are malformed JSON", garbled.broken_json),
    "refusal": Profile("every answer is a refusal", garbled.refusal),
    "huge": Profile("every answer is as long as the request allows", garbled.huge),
    "no_usage": Profile("answers tell no usage", tells_usage=False),
    "flaky": Profile("every other call fails, each time in another way", failure=failures.flaky),
    "severed": Profile("every answer breaks off half-way, and is billed", failure=failures.severed),
    "outage": Profile("every call answers 503", failure=failures.outage),
    "slow": Profile("every completion takes 8 seconds", wait_s=8, bills_the_lost_in_full=True),
    "hang": Profile("no answer ever comes", wait_s=None, bills_the_lost_in_full=True),
}

__all__ = ["HONEST", "PROFILES", "Failure", "Profile"]
