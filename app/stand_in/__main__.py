"""`python -m app.stand_in`: serve the rules on a port or on an inherited socket."""

import logging
from pathlib import Path

from app.config import ports
from app.errors import BadInput
from app.recording.cassette import Cassette
from app.running import listening
from app.stand_in.dialects import DIALECTS
from app.stand_in.faults import PROFILES
from app.stand_in.server import build
from app.stand_in.tape import Tape

CUT_OFF = "without completing response"  # uvicorn's complaint of an answer that breaks off on purpose
LAST_ANSWERS_S = 1  # a client that waits for an answer must not keep the program from ending


def main() -> None:
    """Serves until told to stop; exits with code 2 and one line when it cannot listen."""
    parser = listening.parser("app.stand_in", "OpenAI wire format over rules.", ports.STAND_IN)
    parser.add_argument("--latency-ms", type=int, default=0, help="wait before each completion, milliseconds")
    told = "; ".join(f"{name}: {profile.says}" for name, profile in PROFILES.items())
    parser.add_argument("--profile", choices=list(PROFILES), default="honest", help=f"how the model behaves. {told}")
    told = "; ".join(f"{name}: {dialect.says}" for name, dialect in DIALECTS.items())
    parser.add_argument("--dialect", choices=list(DIALECTS), default="plain", help=f"which server it is. {told}")
    parser.add_argument("--cassette", type=Path, help="answer by this recorded job, and by no rules")
    options = parser.parse_args()
    logging.getLogger("uvicorn.error").addFilter(lambda record: CUT_OFF not in record.getMessage())
    try:
        tape = Tape(Cassette.of_file(options.cassette)) if options.cassette else None
    except BadInput as error:
        listening.fail(str(error))
    app = build(options.latency_ms, PROFILES[options.profile], DIALECTS[options.dialect], tape)
    listening.serve(app, options, "rule-based stand-in model", LAST_ANSWERS_S)


if __name__ == "__main__":
    main()
