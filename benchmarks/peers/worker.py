"""The far side of a peer that needs a Python of its own: commands in by lines of tabs, answers out as lines of JSON.

Needs nothing but the standard library, for the system's Python runs it too.
"""

import json
import os
import sys


def serve(commands):
    """Answers until the input ends; `commands` maps a command's name to a function of its other fields.

    What libraries print goes to stderr, so that it cannot get between the answers.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, *fields = line.rstrip("\n").split("\t")
        json.dump(commands[name](*fields), answers)
        answers.write("\n")
        answers.flush()
