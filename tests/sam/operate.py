"""The operator's program on the table of a deployed stack: each of its commands, held by its schema."""

import json
import subprocess
import sys

import jsonschema

from template import ROOT

SCHEMAS = ROOT / "tools" / "routerctl" / "schemas"
POLICY = ROOT / "functions" / "supervisor-router" / "routing.toml"


def commands(session, tenant, user, specialist):
    """Each command, with the schema of what it says."""
    return [
        (["budget", "--policy", POLICY], "budgets"),
        (["budget", session, "--policy", POLICY], "budget"),
        (["budget", session, "--raise", "steps=20", "--policy", POLICY], "budget"),
        (["circuits", "--policy", POLICY], "circuits"),
        (["circuits", "force", specialist, "open", "--for", "600", "--policy", POLICY], "circuit-forced"),
        (["circuits", "release", specialist, "--policy", POLICY], "circuit-forced"),
        (["incidents"], "incidents"),
        (["cost", "--by", "tenant", "--policy", POLICY], "cost"),
        (["cost", "--by", "specialist", "--policy", POLICY], "cost"),
        (["close", session, "--policy", POLICY], "close"),
        (["erase", "--user", user, "--tenant", tenant, "--dry-run"], "erase"),
        (["erase", "--user", user, "--tenant", tenant], "erase"),
    ]


def operate(table, **names):
    """Runs all of them, and returns how many they are."""
    run = commands(**names)
    for command, schema in run:
        said = routerctl(table, *command)
        held = json.loads((SCHEMAS / f"{schema}.json").read_text(encoding="utf-8"))
        try:
            jsonschema.validate(said, held)
        except jsonschema.ValidationError as error:
            sys.exit(f"routerctl {command[0]} says what {schema}.json does not hold: {error.message}")
    return len(run)


def routerctl(table, *command):
    program = ["cargo", "run", "--quiet", "--locked", "-p", "routerctl", "--"]
    done = subprocess.run(
        [*program, *command, "--table", table, "--json"], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        sys.exit(f"routerctl {command[0]} ended with {done.returncode}")
    return json.loads(done.stdout)
