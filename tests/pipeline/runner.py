"""A runner for the workflow of docs/pipeline: does its jobs in their order, the commands of each step as GitHub Actions would
give them to a shell. Steps that use an action are passed over: what those bring (the checkout, credentials) is there.

Arguments: the workflow, a file with the variables ({"repository": {...}, "test": {...}, ...}: those of the repository and
of each environment), the commit, the credentials (NAME=VALUE, with commas), the folder of the checkout, and the command
that runs another where the steps are to run.
"""

import json
import re
import subprocess
import sys

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def filled(text, known):
    """With what its expressions mean; one that means nothing is a mistake."""

    def meaning(found):
        value = known
        for name in found[1].split("."):
            value = value[name]
        return str(value)

    return EXPRESSION.sub(meaning, str(text))


def environment(what, known):
    return {name: filled(value, known) for name, value in what.get("env", {}).items()}


def run_job(job, given, known, folder, run):
    known = {**known, "vars": {**known["vars"]["repository"], **known["vars"].get(job["environment"], {})}}
    known["steps"] = {}
    for step in job["steps"]:
        if "uses" in step:
            continue
        print(f"$ {step['run']}  ({step['name']})", flush=True)
        # `env` begins with nothing, as each step does.
        variables = {**given, **environment(known["workflow"], known), **environment(job, known)}
        variables.update(environment(step, known), GITHUB_OUTPUT="/tmp/github-output")
        shell = f': >"$GITHUB_OUTPUT"; cd {folder}; {step["run"]}'
        words = [f"{name}={value}" for name, value in variables.items()]
        if subprocess.run([*run, "env", *words, "bash", "-e", "-c", shell]).returncode != 0:
            sys.exit(f"step '{step['name']}' has failed")
        said = subprocess.run([*run, "cat", "/tmp/github-output"], check=True, capture_output=True, text=True)
        outputs = dict(line.split("=", 1) for line in said.stdout.splitlines())
        known["steps"][step.get("id")] = {"outputs": outputs}
    return {name: filled(value, known) for name, value in job.get("outputs", {}).items()}


def main():
    workflow, variables, commit, credentials, folder, *run = sys.argv[1:]
    with open(workflow, encoding="utf-8") as file:
        workflow = yaml.safe_load(file)
    with open(variables, encoding="utf-8") as file:
        variables = json.load(file)
    given = dict(pair.split("=", 1) for pair in credentials.split(","))
    needs = {}
    known = {"workflow": workflow, "github": {"sha": commit, "run_attempt": 1}, "vars": variables, "needs": needs}
    for name, job in workflow["jobs"].items():
        print(f"job {name}", flush=True)
        needs[name] = {"outputs": run_job(job, given, known, folder, run)}


main()
