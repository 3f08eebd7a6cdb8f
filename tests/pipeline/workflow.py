"""What can be said of docs/pipeline/deploy.yml without GitHub: its form, by the schema whose path is the argument, and that it
fits the steps beside it and the page that explains it."""

import json
import re
import sys
from pathlib import Path

import jsonschema
import yaml

FOLDER = Path(__file__).parents[2] / "docs/pipeline"


class Loader(yaml.SafeLoader):
    """YAML as GitHub reads it: `on` is a word."""


Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or letter not in "oO"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def outputs_of(step):
    return re.findall(r'echo "(\w+)=', (FOLDER / step["run"].removeprefix("pipeline/")).read_text(encoding="utf-8"))


def lost(workflow):
    """Outputs that are asked for, and that nothing before has."""
    for name, job in workflow["jobs"].items():
        said = {f"steps.{step['id']}.outputs.{out}" for step in job["steps"] if "id" in step for out in outputs_of(step)}
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        said |= {f"needs.{need}.outputs.{out}" for need in needs for out in workflow["jobs"][need].get("outputs", {})}
        for asked in re.findall(r"(?:steps|needs)\.[\w.-]+", json.dumps(job)):
            if asked not in said:
                yield f"job {name}: nothing gives {asked}"


def mistakes(workflow, text, page):
    yield from lost(workflow)
    for job in workflow["jobs"].values():
        for step in filter(lambda step: "run" in step, job["steps"]):
            script = FOLDER / step["run"].removeprefix("pipeline/")
            if not (script.is_file() and script.stat().st_mode & 0o100):
                yield f"{step['run']} is no script that can be run"
                continue
            given = {**workflow["env"], **job.get("env", {}), **step.get("env", {})}
            for name in re.findall(r"\$\{([A-Z_]+):\?", script.read_text(encoding="utf-8")):
                if name not in given:
                    yield f"step '{step['name']}' lacks {name}"
    for action in re.findall(r"uses: (.*)", text):
        if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action):
            yield f"{action} is not pinned by its commit, with the version behind it"
    for name in sorted(set(re.findall(r"vars\.(\w+)", text))):
        if f"`{name}`" not in page:
            yield f"README.md does not explain the variable {name}"


def main():
    text = (FOLDER / "deploy.yml").read_text(encoding="utf-8")
    workflow = yaml.load(text, Loader)
    schema = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = []
    for error in jsonschema.Draft7Validator(schema).iter_errors(workflow):
        # Where it fits none of several forms, what it lacks for the first of them: of a job, one with steps.
        for why in [one for one in error.context if one.schema_path[0] == 0] or [error]:
            found.append(f"{'/'.join(map(str, why.absolute_path))}: {why.message[:200]}")
    found.extend(mistakes(workflow, text, (FOLDER / "README.md").read_text(encoding="utf-8")))
    sys.exit("\n".join(found) or 0)


main()
