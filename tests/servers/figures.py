"""Sums up what the load clients of one row of scripts/handovers saw, each in a file of its own, and prints the row.

figures.py ROW FOLDER JOURNAL LOG: ROW is the row's first cells; JOURNAL has the journals of the row's releases, one behind the other;
LOG is handover's own of that time.
What failed is told below the row. Ends with 1 if anything failed.
"""

import datetime
import json
import pathlib
import re
import sys

row, folder, journal, log = sys.argv[1], *map(pathlib.Path, sys.argv[2:])


def unix_ms(time):
    # Python takes no more than six digits of a second.
    whole, _, digits = time.removesuffix("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc).timestamp()
    return seconds * 1000 + float(f"0.{digits or 0}") * 1000


entries = [json.loads(line) for line in journal.read_text().splitlines()]
for entry in entries:
    entry["ms"] = unix_ms(entry["at"])


def verdicts():
    """When each candidate had passed its gate, and its release."""
    for entry in entries:
        if entry["entry"] == "opened":
            number = entry["release"]
        elif entry["entry"] == "done" and entry["step"].startswith("gate-candidate"):
            yield entry["ms"], number


def under_way(at):
    """What handover was at when a request was sent, and since when."""
    before = [entry for entry in entries if entry["ms"] <= at]
    if not before or before[-1]["entry"] == "ended":
        return "no update"
    number = [entry["release"] for entry in before if entry["entry"] == "opened"][-1]
    last = before[-1]
    return f"r{number} {last.get('step', '')} {last['entry']} {(at - last['ms']) / 1000:.1f} s ago".replace("  ", " ")


seen = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
# Slow ones by name: the time between two answers says nothing there.
quick = [load for name, load in seen.items() if "slow" not in name]
total = sum(load["total"] for load in seen.values())
failed = sum(load["failed"] for load in seen.values())
late = sum(load["failures"].get("late", 0) for load in seen.values())
gap = max(load["longest_gap_ms"] for load in quick)
slowest = max(load["latency_ms"]["max"] or 0 for load in quick)
print(f"{row} | {total} | {failed} | {late} | {gap:.0f} ms | {slowest:.0f} ms |", end="")

# Connections that are kept are not the first ones to move, so only new ones tell.
new = [load for load in quick if not load["keep_alive"]]
# The releases are versions 1 and 2 by turns: the first answer of the new one behind its verdict.
waits = []
for at, number in verdicts():
    version = str(2 - number % 2)
    firsts = [
        load["began_unix_ms"] + some["first_ms"] - at
        for load in new
        for some in load["releases"]
        if some["release"] == version
    ]
    after = [wait for wait in firsts if wait >= 0]
    if after:
        waits.append(min(after))
waits.sort()
print(f" {waits[len(waits) // 2]:.0f} ms, at most {waits[-1]:.0f} ms |" if waits else " |", end="")

tallies = re.findall(r"packets=(\d+) cpu_us=(\d+)", log.read_text())
packets, cpu = (sum(int(tally[n]) for tally in tallies) for n in (0, 1))
print(f" {packets} packets, {cpu / packets:.1f} us each |" if packets else " |")
for name, load in seen.items():
    if load["failed"]:
        times = {under_way(load["began_unix_ms"] + at) for at in load["failed_at_ms"]}
        print(f"  {name}: {load['failed']} of {load['total']} failed: {load['failures']}, at: {sorted(times)}", file=sys.stderr)
sys.exit(failed != 0)
