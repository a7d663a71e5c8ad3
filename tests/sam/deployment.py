"""Deploys the built template to an emulator of AWS, uses the stack, updates it and deletes it; and
the same with another team's roster.

Started by tests/sam/run, which has built everything. The emulator is ministack, on the loopback
interface; the agents and what they say are the sandbox's, or the roster's.
"""

import json
import os
import socket
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager

import boto3
from botocore.exceptions import ClientError

import made
import operate
import template
from template import ROOT

STACK = "supervisor-router-staging"
EVENTS = ROOT / "events"
ROSTER = ROOT / "tests" / "rosters" / "logistics"
ROSTERS_STACK = "supervisor-router-logistics"
# Kept for after the update: each session's budget is what its event expects only once.
AFTER_UPDATE = EVENTS / "general.json"
PRINT_KNOWN_TYPES = """
import logging
logging.disable()
from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS
print(*_RESOURCE_HANDLERS)
"""
# The events cost more than this, so that CostAlarm is raised.
LITTLE_USD = 0.0001
SANDBOX = ("cargo", "run", "--quiet", "--locked", "-p", "sandbox", "--")


def main():
    base = free_ports(4)
    emulator, agents = base, base + 1
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{emulator}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    with ministack(emulator, agents):
        reduced = reduce_template(template.BUILT, template.FUNCTION)
        say("sam deploy")
        deploy(reduced, STACK)
        stack = Stack(STACK)
        inbox = subscribe(stack.outputs["AlarmTopicArn"])
        before = stack.version()

        cases, left_out = playable()
        for name, why in left_out.items():
            say(f"left out: {name}, since {why}")
        play(stack, emulator, agents, cases)
        check_metrics("BedrockSupervisor", cases)
        check_item(stack, "5f1c0a52-billing")
        check_message(inbox, f"{STACK}-CostAlarm")
        names = {"session": "5f1c0a52-billing", "tenant": "acme", "user": "user-17"}
        count = operate.operate(stack.table, **names, specialist="support")
        check(True, f"routerctl does {count} things to {stack.table}, and says what its schemas hold")

        say("sam deploy, with another namespace for the metrics")
        deploy(reduced, STACK, MetricsNamespace="AfterUpdate")
        after = stack.version()
        check(before != after, f"the alias went on from version {before} to {after}")
        play(stack, emulator, agents, [AFTER_UPDATE])
        check_metrics("AfterUpdate", [AFTER_UPDATE])

        other = deploy_roster(reduced, emulator, agents)
        change_agents(reduced, other)

        # Not by `sam delete`, which does not know the emulator's addresses of nested stacks.
        say("delete-stack")
        for deployed in (stack, other):
            boto3.client("cloudformation").delete_stack(StackName=deployed.name)
        check_nothing_left([stack, other])


def deploy_roster(reduced, emulator, agents):
    """The same template and the same function, with another team's lists and policy."""
    say(f"sam deploy, with the roster of {ROSTER.relative_to(ROOT)}")
    lists = tomllib.loads((ROSTER / "parameters.toml").read_text(encoding="utf-8"))
    deploy(reduced, ROSTERS_STACK, RoutingPolicy="table", MetricsNamespace="Logistics", **joined(lists))
    stack = Stack(ROSTERS_STACK)
    # Before the first request: the packaged policy is another roster's.
    policy = ROSTER / "routing.toml"
    push = ["cargo", "run", "--quiet", "--locked", "-p", "routerctl", "--", "policy", "push", policy]
    push += ["--table", stack.table, "--specialists", ",".join(lists["Specialists"])]
    if subprocess.run(push, cwd=ROOT, check=False).returncode != 0:
        sys.exit("the roster's policy is not pushed")
    cases = sorted((ROSTER / "events").glob("*.json"))
    play(stack, emulator, agents, cases, "--agents", ROSTER / "agents.toml", "--policy", policy)
    check_metrics("Logistics", cases)
    return stack


def change_agents(reduced, stack):
    """Other names and other ARNs, each alone, reach the alias by a version of their own."""
    lists = tomllib.loads((ROSTER / "parameters.toml").read_text(encoding="utf-8"))
    for name, other in {"Specialists": "storage", "SpecialistArns": lists["SpecialistArns"][1]}.items():
        lists[name][0] = other
        before = stack.version()
        deploy(reduced, ROSTERS_STACK, RoutingPolicy="table", MetricsNamespace="Logistics", **joined(lists))
        after = stack.version()
        check(before != after, f"with other {name} the alias went on from version {before} to {after}")


def joined(lists):
    return {name: ",".join(items) for name, items in lists.items()}


def say(text):
    print(f"--- {text}", flush=True)


def check(holds, text):
    print(f"{'ok ' if holds else 'NO '} {text}", flush=True)
    if not holds:
        sys.exit("the deployment is not as it should be")


def free_ports(count):
    """The first of some free ports in a row."""
    for base in range(20_000, 30_000, 10):
        try:
            for port in range(base, base + count):
                socket.create_server(("127.0.0.1", port)).close()
            return base
        except OSError:
            continue
    sys.exit("no free ports")


@contextmanager
def ministack(port, agents):
    """The emulator, whose functions find the sandbox's agents and its stand-in of CloudWatch."""
    serve = [ROOT / "tests" / "ministack" / "serve", str(port), ""]
    services = ("BEDROCK_AGENTCORE", "BEDROCK_AGENT_RUNTIME", "BEDROCK_RUNTIME")
    serve += [f"AWS_ENDPOINT_URL_{service}=http://127.0.0.1:{agents}" for service in services]
    serve += [
        f"AWS_ENDPOINT_URL_CLOUDWATCH=http://127.0.0.1:{agents + 1}",
    ]
    process = subprocess.Popen(serve, stdin=subprocess.PIPE)
    try:
        wait_for(lambda: socket.create_connection(("127.0.0.1", port)).close() or True, OSError)
        yield
    finally:
        process.stdin.close()
        process.wait()


def wait_for(attempt, *errors):
    """What `attempt` gives as soon as it gives anything; it is asked for 30 seconds."""
    for _ in range(150):
        try:
            if found := attempt():
                return found
        except errors:
            pass
        time.sleep(0.2)
    return None


def reduce_template(folder, code):
    """Writes the folder's template, translated, with the resources that the emulator knows.

    `code` is where the function's code is in the folder. Returns the written file.
    """
    python = ROOT / "target" / "ministack-venv" / "bin" / "python"
    types = subprocess.check_output([python, "-c", PRINT_KNOWN_TYPES], text=True).split()

    def known(resource):
        # Alarms on metric math and on queries are not.
        return resource["Type"] in types and "Metrics" not in resource.get("Properties", {})

    def reduce(one):
        for name, kind in template.take_out(one, known).items():
            say(f"taken out, since the emulator does not know the like: {name}, {kind}")

    translated = template.translate(folder / "template.yaml")
    always = {one for one, _ in made.made_with("No", translated)}
    for kind in ("AgentCore", "BedrockClassic"):
        unknown = {one for one, _ in made.made_with(kind, translated)} - always - set(types)
        say(f"not deployed: CreateAgents={kind}, since the emulator does not know {', '.join(sorted(unknown))}")
    reduce(translated)
    for name in ("Alarms", "Dashboard"):
        stack = template.read(folder / "template.yaml")["Resources"][name]
        nested = template.read(folder / stack["Properties"]["TemplateURL"])
        if name == "Alarms":
            nested["Mappings"]["Thresholds"]["CostPerHourUsd"]["Is"] = LITTLE_USD
        reduce(nested)
        file = f"deployed-{name}.yaml"
        template.write(nested, folder / file)
        translated["Resources"][name]["Properties"]["TemplateURL"] = file
    for name, condition in translated["Conditions"].items():
        if "Fn::Split" in json.dumps(condition):
            say(f"taken for false, since the emulator cannot tell: {name}")
            translated["Conditions"][name] = {"Fn::Equals": ["true", "false"]}
    # sam deploy uploads it.
    translated["Resources"][template.FUNCTION]["Properties"]["Code"] = code
    reduced = folder / "deployed.yaml"
    template.write(translated, reduced)
    return reduced


def sam(*arguments, folder=ROOT):
    """Runs sam, and shows what it said when it fails."""
    done = subprocess.run(
        ["sam", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nsam {arguments[0]} failed")


def deploy(reduced, stack, **parameters):
    arguments = ["--config-file", ROOT / "samconfig.toml", "--config-env", "staging"]
    arguments += ["--stack-name", stack, "--template-file", reduced, "--no-confirm-changeset"]
    sam("deploy", *map(str, arguments), *template.parameters(**parameters))


class Stack:
    def __init__(self, name):
        self.name = name
        [stack] = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        self.outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}
        self.alias = self.outputs["SupervisorRouterFunctionArn"]
        self.table = self.outputs["BudgetTableName"]

    def version(self):
        """The version that the alias names."""
        function, alias = self.alias.rsplit(":", 1)
        found = boto3.client("lambda").get_alias(FunctionName=function, Name=alias)
        return found["FunctionVersion"]


def subscribe(topic):
    """A queue that gets what is sent to the topic."""
    queues = boto3.client("sqs")
    url = queues.create_queue(QueueName="alarms")["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def playable():
    """The events that can be played on the deployed function, and why the others cannot."""
    cases, left_out = [], {}
    for path in sorted(EVENTS.glob("*.json")):
        expected = expectation(path)
        if (EVENTS / "client-context" / path.name).exists():
            left_out[path.stem] = "the emulator hands no client context to the function"
        elif "lambda_timeout_ms" in expected:
            left_out[path.stem] = "it needs a function with a timeout of its own"
        elif path != AFTER_UPDATE:
            cases.append(path)
    return cases, left_out


def expectation(path):
    return json.loads((path.parent / "expected" / path.name).read_text(encoding="utf-8"))


def play(stack, emulator, agents, cases, *more, sandbox=SANDBOX):
    command = [*sandbox]
    command += ["--invoke", ROOT / "tests" / "sam" / "deployed"]
    command += ["--listen", f"127.0.0.1:{agents}", "--aws", f"127.0.0.1:{emulator}"]
    command += ["--table", stack.table, *more, *cases]
    environment = os.environ | {"DEPLOYED_ALIAS": stack.alias}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
        sys.exit("the deployed function does not answer as it should")


def check_metrics(namespace, cases):
    """Whether CloudWatch has at least what the events publish, dimension set by dimension set."""
    least = {}
    for path in cases:
        for name, sets in expectation(path).get("metrics", {}).items():
            for dimensions, value in sets.items():
                key = name, dimensions
                least[key] = least.get(key, 0) + (value or 0)
    least = {key: value for key, value in least.items() if value > 0}
    watch, now = boto3.client("cloudwatch"), time.time()
    for (name, dimensions), value in least.items():
        pairs = [pair.split("=", 1) for pair in dimensions.split(",") if pair]
        points = watch.get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": it} for key, it in pairs],
            StartTime=now - 3600,
            EndTime=now + 3600,
            Period=7200,
            Statistics=["Sum"],
        )["Datapoints"]
        found = sum(point["Sum"] for point in points)
        if found < value - 1e-9:
            check(False, f"{namespace} {name}[{dimensions}] is {found}, at least {value} expected")
    check(True, f"CloudWatch has {len(least)} metrics and dimension sets in {namespace}")


def check_item(stack, session):
    key = {"pk": f"SESSION#{session}", "sk": "BUDGET"}
    item = boto3.resource("dynamodb").Table(stack.table).get_item(Key=key).get("Item", {})
    check(item.get("spent_micro_usd", 0) > 0, f"{stack.table} has the budget of {session}")


def check_message(inbox, alarm):
    queues = boto3.client("sqs")

    def arrived():
        for message in queues.receive_message(QueueUrl=inbox).get("Messages", []):
            queues.delete_message(QueueUrl=inbox, ReceiptHandle=message["ReceiptHandle"])
            if alarm in message["Body"]:
                return True
        return False

    check(wait_for(arrived), f"the message of {alarm} came through SNS")


def check_nothing_left(deployed):
    """Of the stacks, that is. Their tables are kept on purpose."""

    def is_gone(name):
        try:
            stacks = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
            return stacks[0]["StackStatus"] == "DELETE_COMPLETE"
        except ClientError:
            return True

    for one in deployed:
        check(wait_for(lambda name=one.name: is_gone(name)), f"{one.name} is deleted")
    left = {
        "functions": boto3.client("lambda").list_functions()["Functions"],
        "alarms": boto3.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": boto3.client("cloudwatch").list_dashboards()["DashboardEntries"],
        "topics": boto3.client("sns").list_topics()["Topics"],
        "roles": boto3.client("iam").list_roles()["Roles"],
        "policies": boto3.client("iam").list_policies(Scope="Local")["Policies"],
        "log groups": boto3.client("logs").describe_log_groups()["logGroups"],
    }
    for kind, found in left.items():
        check(not found, f"no {kind} are left {found or ''}")
    tables = boto3.client("dynamodb").list_tables()["TableNames"]
    kept = sorted(one.table for one in deployed)
    check(sorted(tables) == kept, "the tables are left, as the template has it")


if __name__ == "__main__":
    main()
