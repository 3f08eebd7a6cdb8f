# Short names for what stands in scripts/. `just --list` shows them; none of them needs just.

# The static release binary
build:
    scripts/build

# All tests
test *arguments:
    scripts/test {{arguments}}

# Tests that need no lab and no root
quick:
    cargo nextest run --workspace --all-features -E 'not (package(lab) or binary(instance) or binary(faults))'

# The crash matrix alone
crash *arguments:
    cargo nextest run --features failpoints --test crash {{arguments}}

# Formatting, clippy, rustdoc, scripts, dependencies
lint:
    scripts/lint

# Licences, bans, sources and advisories of the dependencies
audit:
    scripts/audit

# Format the sources
fmt:
    cargo fmt --all

# The demonstration, in a lab
demo:
    scripts/demo

# The pipeline of docs/pipeline, in a lab
pipeline:
    scripts/pipeline

# Raise a lab in a folder
lab-up dir:
    scripts/lab up {{dir}}

# Make an instance in a lab and boot it
lab-host dir name="web-1":
    scripts/lab host {{dir}} {{name}}

# A shell in an instance
lab-shell dir name="web-1":
    scripts/lab exec {{dir}} {{name}} bash

# Take a lab down
lab-down dir:
    scripts/lab down {{dir}}

# Draw the state diagram
diagram:
    dot -Tsvg docs/states.dot -o docs/states.svg
