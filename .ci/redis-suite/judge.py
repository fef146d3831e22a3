"""Judges a run of Redis' suite by the list of what is expected: judge.py EXPECTED LOG.

A test may fail because of a command that the list says is lacking, or because the list names the test. Everything on the
list has to be met, so that it does not say more than there is.
"""

import re
import sys

LACKING = re.compile(r"unknown command '([^']*)'|unknown subcommand '([^']*)'\. Try (\w+) HELP")


def read_list(path):
    """The commands that are lacking, the tests that fail for another reason, and how many pass at least."""
    lacking, failing, least = set(), set(), None
    for line in open(path, encoding="utf-8"):
        kind, _, rest = line.strip().partition(" ")
        if kind == "lacks":
            lacking.update(rest.split())
        elif kind == "fails":
            failing.add(rest)
        elif kind == "passes":
            least = int(rest)
        elif kind and kind != "#":
            sys.exit(f"{path}: neither lacks, fails nor passes: {line}")
    return lacking, failing, least


def read_log(path):
    """What the run says of each test: `ok`, `err` and the like, and the text."""
    text = re.sub("\x1b\\[[0-9;]*m", "", open(path, encoding="utf-8", errors="replace").read())
    run, end, _ = text.partition("The End\n")
    if not end:
        sys.exit(f"the run did not come to its end:\n{text[-3000:]}")
    return re.findall(r"^\[(\w+)\]: (.*?)(?=^\[|\Z)", run, flags=re.DOTALL | re.MULTILINE)


def commands_missed(text):
    for command, subcommand, container in LACKING.findall(text):
        yield (command or f"{container}|{subcommand}").lower()


def main():
    lacking, failing, least = read_list(sys.argv[1])
    passed, surprises, met = 0, [], set()
    for verdict, text in read_log(sys.argv[2]):
        if verdict == "ok":
            passed += 1
        elif verdict in ("err", "exception"):
            name = re.split(r" in tests/\S+\.tcl\n", text)[0]
            reasons = lacking.intersection(commands_missed(text)) or failing.intersection([name])
            met |= reasons
            if not reasons:
                surprises.append(text)
    unmet = (lacking | failing) - met
    for text in surprises:
        print(f"not on the list: {text}")
    for reason in sorted(unmet):
        print(f"on the list, but nothing failed because of it: {reason}")
    print(f"{passed} tests passed; of those that failed, {len(surprises)} are not on the list")
    if passed < least:
        print(f"fewer than the {least} that passed before")
    sys.exit(bool(surprises or unmet or passed < least))


main()
