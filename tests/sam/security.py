"""Runs checkov over the template and the stacks nested in it: it may find what is listed here, no
more and no less."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What it finds, and why it is so.
ACCEPTED = {
    ("CKV_AWS_115", "SupervisorRouterFunction"): (
        "a concurrency reserved for the function is taken from all others of the account; the budget"
        " is what limits it, whatever its concurrency"
    ),
    ("CKV_AWS_116", "SupervisorRouterFunction"): (
        "a dead-letter queue is for asynchronous invocations; agents and gateways wait for the reply"
    ),
    ("CKV_AWS_117", "SupervisorRouterFunction"): (
        "it calls AWS' public endpoints only; a VPC would add what it can reach, and a NAT to pay"
    ),
    ("CKV_AWS_173", "SupervisorRouterFunction"): (
        "no variable is a secret, and Lambda encrypts them with a key of its own"
    ),
    ("CKV_AWS_158", "SupervisorRouterLogGroup"): (
        "CloudWatch Logs encrypts it with a key of its own; it has no prompts, answers or attributes"
    ),
    ("CKV_AWS_115", "EscalationDeskFunction"): "as SupervisorRouterFunction; people are few",
    ("CKV_AWS_116", "EscalationDeskFunction"): (
        "what it could not take goes to LostAnswers, with the reason, which a dead-letter queue has not"
    ),
    ("CKV_AWS_117", "EscalationDeskFunction"): "as SupervisorRouterFunction",
    ("CKV_AWS_173", "EscalationDeskFunction"): "as SupervisorRouterFunction",
    ("CKV_AWS_158", "EscalationDeskLogGroup"): "as SupervisorRouterLogGroup: it has no answers",
    ("CKV_AWS_115", "FrontDoorFunction"): "as SupervisorRouterFunction",
    ("CKV_AWS_116", "FrontDoorFunction"): "applications wait for the answer; asked again, it would cost again",
    ("CKV_AWS_117", "FrontDoorFunction"): "as SupervisorRouterFunction",
    ("CKV_AWS_173", "FrontDoorFunction"): "as SupervisorRouterFunction",
    ("CKV_AWS_158", "FrontDoorLogGroup"): "as SupervisorRouterLogGroup",
    ("CKV_AWS_115", "RoutingGateFunction"): "as SupervisorRouterFunction; deployments and nights are few",
    ("CKV_AWS_116", "RoutingGateFunction"): (
        "a deployment that was not told fails by itself, and the alarm on errors tells of a night"
    ),
    ("CKV_AWS_117", "RoutingGateFunction"): "as SupervisorRouterFunction",
    ("CKV_AWS_173", "RoutingGateFunction"): "as SupervisorRouterFunction",
    ("CKV_AWS_158", "RoutingGateLogGroup"): "as SupervisorRouterLogGroup: it has no texts of requests",
    ("CKV_AWS_27", "LostAnswers"): "SQS encrypts it with a key of its own",
    ("CKV_AWS_119", "BudgetTable"): (
        "it is encrypted with the account's key for DynamoDB; a customer's key costs money and"
        " another grant for each reader of the table"
    ),
    ("CKV_AWS_26", "AlarmTopic"): (
        "CloudWatch cannot use the key alias/aws/sns, and a notification tells of metrics only"
    ),
    ("CKV_AWS_373", "Agent"): (
        "Bedrock encrypts agents with a key of its own; agents with another key can be given as parameters"
    ),
}


def found():
    files = [ROOT / "template.yaml", *sorted((ROOT / "stacks").glob("*.yaml"))]
    command = [sys.argv[1], "--framework", "cloudformation", "--skip-download", "--compact"]
    command += ["--output", "json"]
    for file in files:
        command += ["--file", str(file)]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, check=False, env={**os.environ, "LOG_LEVEL": "ERROR"}
    )
    results = json.loads(run.stdout)["results"]
    if results["parsing_errors"]:
        sys.exit(f"checkov cannot read {results['parsing_errors']}")
    # A resource is Type.LogicalId.
    return {(one["check_id"], one["resource"].split(".")[-1]): one for one in results["failed_checks"]}


def main():
    failed = found()
    for id, resource in sorted(failed.keys() - ACCEPTED.keys()):
        one = failed[id, resource]
        lines = "-".join(str(line) for line in one["file_line_range"])
        print(f"{one['file_path'].lstrip('/')}:{lines}: {resource}: {one['check_name']} ({id})")
    for id, resource in sorted(ACCEPTED.keys() - failed.keys()):
        print(f"{resource}: {id} is accepted, but not found any more")
    sys.exit(1 if failed.keys() != ACCEPTED.keys() else 0)


main()
