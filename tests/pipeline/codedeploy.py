"""CodeDeploy's side of the pipeline in the lab, as far as its steps use it: deployments in place, one instance at a time, a
rollback after one that fails, and the last successful revision for an instance that Auto Scaling launches. What it does on
an instance it has the simulated agent do.

Arguments: the address to listen at, a file with the groups ({"test": ["test-1"], ...}, read anew each time), the file for
what was deployed, and the command that runs another on an instance, whose name and command are put behind it.
"""

import http.server
import itertools
import json
import subprocess
import sys
import threading

# The agent downloads the revision with the role of its instance, and takes nothing but that very object.
DOWNLOAD = """
set -eu
archive=/opt/codedeploy-agent/$1.tgz bundle=/opt/codedeploy-agent/$1
etag=$(aws s3api get-object --bucket "$2" --key "$3" --version-id "$4" --query ETag --output text "$archive")
[ "$etag" = "\\"$5\\"" ]
mkdir -p "$bundle"
tar -C "$bundle" -xzf "$archive"
"""


class CodeDeploy:
    def __init__(self, groups, told, run):
        self.groups, self.told, self.run = groups, told, run
        self.lock = threading.RLock()
        self.numbers = itertools.count(1)
        self.deployments, self.last_good, self.agents = {}, {}, {}

    def instances(self, group):
        with open(self.groups, encoding="utf-8") as file:
            return json.load(file)[group]

    def create(self, group, revision, creator, application, instances=None):
        """A deployment under a new id, which goes on by itself."""
        with self.lock:
            deployment = {
                "deploymentId": f"d-{next(self.numbers):09}",
                "applicationName": application,
                "deploymentGroupName": group,
                "revision": {"revisionType": "S3", "s3Location": revision},
                "creator": creator,
                "status": "Created",
                "targets": {name: {"status": "Pending"} for name in instances or self.instances(group)},
            }
            self.deployments[deployment["deploymentId"]] = deployment
        threading.Thread(target=self.carry_out, args=[deployment], daemon=True).start()
        return deployment

    def carry_out(self, deployment):
        group = deployment["deploymentGroupName"]
        deployment["status"] = "InProgress"
        try:
            good = all(self.on_instance(deployment, *target) for target in deployment["targets"].items())
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits has to be told
            print(deployment["deploymentId"], repr(error), flush=True)
            good = False
        with self.lock:
            if good and deployment["creator"] != "autoscaling":
                self.last_good[group] = deployment
            before = self.last_good.get(group)
            if not good and before and deployment["creator"] == "user":
                again = self.create(
                    group,
                    before["revision"]["s3Location"],
                    "codeDeployRollback",
                    deployment["applicationName"],
                )
                deployment["rollbackInfo"] = {"rollbackDeploymentId": again["deploymentId"]}
            for target in deployment["targets"].values():
                target["status"] = target["status"].replace("Pending", "Skipped")
            deployment["status"] = "Succeeded" if good else "Failed"
            with open(self.told, "w", encoding="utf-8") as file:
                json.dump(list(self.deployments.values()), file)

    def on_instance(self, deployment, instance, target):
        """Whether it succeeded there."""
        # An agent has one deployment of a group at a time.
        with self.agents.setdefault(instance, threading.Lock()):
            target["status"] = "InProgress"
            good = self.download_and_deploy(deployment, instance, target)
            target["status"] = "Succeeded" if good else "Failed"
        return good

    def download_and_deploy(self, deployment, instance, target):
        identity, s3 = deployment["deploymentId"], deployment["revision"]["s3Location"]
        bucket, key, version, etag = s3["bucket"], s3["key"], s3["version"], s3["eTag"]
        download = ["sh", "-c", DOWNLOAD, "sh", identity, bucket, key, version, etag]
        subprocess.run([*self.run, instance, *download], check=True)
        bundle = ["--bundle", f"/opt/codedeploy-agent/{identity}", "--deployment-id", identity]
        where = ["--application", deployment["applicationName"], "--group", deployment["deploymentGroupName"]]
        revision = ["--revision-env", "s3", "--bundle-bucket", bucket, "--bundle-key", key]
        revision += ["--bundle-version", version, "--bundle-etag", etag]
        if deployment["creator"] == "codeDeployRollback":
            revision.append("--rollback")
        agent = ["codedeploy", "--json", "deploy", *bundle, *where, *revision]
        done = subprocess.run([*self.run, instance, *agent], stdout=subprocess.PIPE)
        target["lifecycleEvents"] = json.loads(done.stdout)["events"]
        return done.returncode == 0

    def CreateDeployment(self, asked):
        group = asked["deploymentGroupName"]
        made = self.create(group, asked["revision"]["s3Location"], "user", asked["applicationName"])
        return {"deploymentId": made["deploymentId"]}

    def GetDeployment(self, asked):
        deployment = self.deployments[asked["deploymentId"]]
        return {"deploymentInfo": {k: v for k, v in deployment.items() if k != "targets"}}

    def ListDeploymentTargets(self, asked):
        return {"targetIds": list(self.deployments[asked["deploymentId"]]["targets"])}

    def BatchGetDeploymentTargets(self, asked):
        targets = self.deployments[asked["deploymentId"]]["targets"]
        return {"deploymentTargets": [shown(name, targets[name]) for name in asked["targetIds"]]}

    def LabLaunch(self, asked):
        """Auto Scaling has launched an instance."""
        good = self.last_good[asked["group"]]
        revision, application = good["revision"]["s3Location"], good["applicationName"]
        made = self.create(asked["group"], revision, "autoscaling", application, [asked["instance"]])
        return {"deploymentId": made["deploymentId"]}


def shown(name, target):
    events = []
    for event in target.get("lifecycleEvents", []):
        event_shown = {"lifecycleEventName": event["event"], "status": event["status"]}
        if event["status"] == "Failed":
            event_shown["diagnostics"] = {
                "errorCode": "ScriptFailed",
                "scriptName": event["script"],
                "message": event["message"],
                "logTail": event["log"],
            }
        events.append(event_shown)
    told = {"targetId": name, "status": target["status"], "lifecycleEvents": events}
    return {"deploymentTargetType": "InstanceTarget", "instanceTarget": told}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        action = self.headers["X-Amz-Target"].rsplit(".", 1)[-1]
        answer = json.dumps(getattr(self.server.codedeploy, action)(asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def main():
    address, groups, told, *run = sys.argv[1:]
    host, port = address.split(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    server.codedeploy = CodeDeploy(groups, told, run)
    server.serve_forever()


main()
