"""Which digest ran where and when, as each instance tells it, compared with what the revisions had pinned. Prints a table;
exits 1 if any instance ran, or runs, another digest than it should.

Arguments: what CodeDeploy deployed, the pins ({VERSION OF THE REVISION: DIGEST}), what should run now ({INSTANCE: DIGEST}),
and a folder with INSTANCE.history and INSTANCE.status, the JSON of `handover history` and `handover status`.
"""

import json
import sys
from pathlib import Path

BY = {"user": "pipeline", "codeDeployRollback": "CodeDeploy's rollback", "autoscaling": "Auto Scaling"}


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def main():
    told, pins, now, folder = sys.argv[1:]
    deployments = {deployment["deploymentId"]: deployment for deployment in read(told)}
    pins, now = read(pins), read(now)
    rows, wrong = [], []
    for instance in now:
        for release in read(Path(folder, f"{instance}.history"))[0]["releases"]:
            deployment = deployments[release["deployment"]]
            digest = release["images"]["default"]["digest"]
            revision = deployment["revision"]["s3Location"]["version"]
            if digest != pins[revision]:
                wrong.append(f"{instance} took {digest} for {pins[revision]} in {release['deployment']}")
            by = BY[deployment["creator"]]
            at, verdict = release["at"][11:19], release["verdict"]
            rows.append((at, instance, release["deployment"], by, revision[:8], digest[7:19], verdict))
        live = [c for c in read(Path(folder, f"{instance}.status"))[0]["containers"] if c["role"] == "live"]
        for container in live:
            digest, state = container["image"].rsplit("@", 1)[-1], container["state"]
            if (digest, state) != (now[instance], "running"):
                wrong.append(f"{instance}: {digest} is {state}, and {now[instance]} should run")
            rows.append(("now", instance, "", "", "", digest[7:19], state))
        if not live:
            wrong.append(f"{instance}: nothing is live")
        if instance not in {row[1] for row in rows if row[0] != "now"}:
            wrong.append(f"{instance}: no deployment is known")
    heads = ("WHEN UTC", "INSTANCE", "DEPLOYMENT", "BY", "REVISION", "DIGEST", "VERDICT")
    rows = [heads, *sorted(rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    sys.exit("\n".join(wrong) or 0)


main()
