"""`python -m tests.app.every_command`: runs the command lines that it reads from stdin as JSON, one after the other, in
one process, because starting one takes longer than most commands do."""

import json
import os
import sys

from app.cli import main


def run(arguments: list[str]) -> None:
    sys.argv = ["tollgate", *arguments]
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        stream.flush()
        os.write(number, f"\nended {' '.join(arguments[:1])} with {code}\n".encode())


if __name__ == "__main__":
    for each in json.load(sys.stdin):
        run(each)
