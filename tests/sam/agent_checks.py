"""What the agents that the stacks make are told and may do, and what the router may call."""

import re
import tomllib

from findings import expect, expect_equal
from template import ROOT
from tree import as_list, resolved, resources, texts, values

MODEL_ACTIONS = {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}

# Both of a harness, on itself and on the endpoint through which it is called.
# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/harness-security.html
HARNESS_ACTIONS = {"bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:InvokeHarness"}

ACCOUNT = "arn:aws:{}:us-east-1:123456789012:{}"
MODEL = "foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"

# What the template's parameters take: each kind of agent that the router knows, and no wildcard.
ARNS = {
    ACCOUNT.format("bedrock", "agent-alias/BILLING001/LIVE000001"): True,
    ACCOUNT.format("bedrock", "agent-alias/BILLING001/*"): False,
    ACCOUNT.format("bedrock", "inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0"): True,
    ACCOUNT.format("bedrock", "inference-profile/*"): False,
    ACCOUNT.format("bedrock", MODEL): False,
    ACCOUNT.format("bedrock-agentcore", "runtime/orders-AbCdEfGh12"): True,
    ACCOUNT.format("bedrock-agentcore", "runtime/orders-AbCdEfGh12/runtime-endpoint/live"): True,
    ACCOUNT.format("bedrock-agentcore", "runtime/orders-AbCdEfGh12/harness-endpoint/live"): False,
    ACCOUNT.format("bedrock-agentcore", "runtime/*"): False,
    ACCOUNT.format("bedrock-agentcore", "harness/orders-AbCdEfGh12"): True,
    ACCOUNT.format("bedrock-agentcore", "harness/orders-AbCdEfGh12/harness-endpoint/live"): True,
    ACCOUNT.format("bedrock-agentcore", "harness/orders-AbCdEfGh12/*"): False,
    f"arn:aws:bedrock:us-east-1::{MODEL}": True,
    f"arn:aws-us-gov:bedrock:us-gov-west-1::{MODEL}": True,
    f"arn:aws:bedrock:*::{MODEL}": False,
    "arn:aws:bedrock:us-east-1::foundation-model/*": False,
    "model:anthropic.claude-haiku-4-5-20251001-v1:0": False,
    "BILLING001/LIVE000001": False,
}
# A model of a global profile. The router can call none without a region.
NO_REGION = f"arn:aws:bedrock:::{MODEL}"


def check(template, nested):
    roster, specialist = nested["stacks/example-agents.yaml"], nested["stacks/example-specialist.yaml"]
    check_example(roster, nested["stacks/example-supervisor.yaml"], specialist)
    check_arns(template)
    check_harness(nested["stacks/agentcore.yaml"])
    check_calls(template, roster, specialist)


def check_example(roster, supervisor, specialist):
    """The example's agents are told what the shipped policy says."""
    policy = tomllib.loads((ROOT / "functions/supervisor-router/routing.toml").read_text(encoding="utf-8"))
    stacks = resources(roster, "AWS::CloudFormation::Stack").values()
    jobs = {one["Parameters"]["Name"]: one["Parameters"]["Job"] for one in stacks if "Job" in one["Parameters"]}
    described = {name: one["description"] for name, one in policy["specialists"].items()}
    expect_equal(jobs.items(), described.items(), "specialists of the example")
    names = roster["Outputs"]["Specialists"]["Value"].split(",")
    expect(names == list(jobs), "the example's names have another order than its stacks")
    for output in ("SpecialistArns", "ArnsToAllow"):
        order = [arn.split(".")[0].lower() for arn in references(roster["Outputs"][output])]
        expect(order == names, f"the example's {output} are those of {order}")
    agent = resources(supervisor, "AWS::Bedrock::Agent")["Agent"]
    function = agent["ActionGroups"][0]["FunctionSchema"]["Functions"][0]
    supervisors = " ".join(agent["Instruction"].split())
    instruction = resources(specialist, "AWS::Bedrock::Agent")["Agent"]["Instruction"]
    harness = resources(specialist, "AWS::CloudFormation::Stack")["Harness"]["Parameters"]
    expect(harness["Instruction"] == instruction, "a harness is told something else than an agent of Bedrock")
    instruction = "".join(texts(resolved(instruction, specialist)))
    specialists = " ".join(instruction.split())
    for name, one in policy["specialists"].items():
        expect(f"- {name}: {one['description']}" in supervisors, f"the supervisor does not know {name}")
        expect(f'"{name}" ({one["description"]})' in specialists, f"specialists do not know {name}")
        expect(name in function["Parameters"]["specialist_type"]["Description"], f"{name} is no type")
        for intent in one["intents"]:
            known = re.search(rf"\b{intent}\b", function["Parameters"]["intent"]["Description"])
            expect(known, f"the supervisor does not know the intent {intent}")
    longest = max(len(instruction) + len(job) + len(name) for name, job in jobs.items())
    expect(longest <= 4000, "a specialist's instruction is too long")


def check_arns(template):
    # What was there before the supervisor may be a function; no specialist is.
    old = ACCOUNT.format("lambda", "function:old-bot")
    for parameter, is_further in {"SpecialistArns": False, "FurtherAgentArns": True}.items():
        pattern = template["Parameters"][parameter]["AllowedPattern"]
        functions = {old: is_further, f"{old}:live": is_further, f"{old}:*": False, f"{old}-*": False}
        for arn, taken in {**ARNS, **functions, NO_REGION: is_further}.items():
            expect(bool(re.search(pattern, arn)) == taken, f"{parameter} and {arn}: should it be taken?")


def references(node):
    """The attributes of resources that it names, as `Resource.Attribute`."""
    found = [".".join(as_list(one)) for one in values(node, "Fn::GetAtt")]
    return found + [name for text in texts(node) for name in re.findall(r"\$\{(\w+\.[\w.]+)\}", text)]


def check_harness(template):
    """Its role allows its model and nothing else; it has no tools and no memory, and limits of its own."""
    (harness,) = resources(template, "AWS::BedrockAgentCore::Harness").values()
    (endpoint,) = resources(template, "AWS::BedrockAgentCore::HarnessEndpoint").values()
    (role,) = resources(template, "AWS::IAM::Role").values()
    expect(references(harness["ExecutionRoleArn"]) == ["Role.Arn"], "the harness has another role")
    for area, kinds in {"": ["foundation-model"], "eu": ["inference-profile", "foundation-model"]}.items():
        policies = resolved(role["Policies"], template, InferenceProfileArea=area)
        statements = [one for of in policies for one in of["PolicyDocument"]["Statement"] if "Effect" in one]
        called = []
        for one in statements:
            actions = set(as_list(one["Action"]))
            expect(actions <= MODEL_ACTIONS, f"{one['Sid']} of a harness allows {actions}")
            resource = " ".join(texts(one["Resource"]))
            found = re.fullmatch(r"\S+:([a-z-]+)/(?:\$\{InferenceProfileArea\}\.)?\$\{Model\}", resource)
            expect(found, f"a harness may call {resource}")
            called += [found[1]] if found else []
        expect(called == kinds, f"a harness with the area {area!r} may call {called}")
    expect("Tools" not in harness, "the harness has tools")
    # Without a list it may use all of them, and what an empty one means is not known.
    allowed = harness.get("AllowedTools") or ["*"]
    expect(not any(re.search(r"[*@/]", one) for one in allowed), f"the harness may use {allowed}")
    expect(harness.get("Memory") == {"Disabled": {}}, "the harness has a memory")
    limits = {"MaxIterations", "TimeoutSeconds"} <= harness.keys()
    expect(limits and "MaxTokens" in harness["Model"]["BedrockModelConfig"], "the harness has no limits")
    version = references(endpoint.get("TargetVersion"))
    expect(version == ["Harness.Version"], f"the endpoint is at the version {version}")
    named = template["Outputs"]["EndpointArn"]["Value"]
    live = f"${{Harness.Arn}}/harness-endpoint/{endpoint['EndpointName']}"
    expect(named == {"Fn::Sub": live}, f"{named} is not the endpoint")


def check_calls(template, roster, specialist):
    """Who calls a harness through its endpoint may call both, and with both actions."""
    policy = resources(template, "AWS::IAM::ManagedPolicy")["SpecialistsPolicy"]["PolicyDocument"]
    role = resources(template, "AWS::IAM::Role")["SupervisorRouterRole"]["Policies"]
    for actions in values([policy, role], "Action"):
        found = set(as_list(actions)) & HARNESS_ACTIONS
        expect(found in (set(), HARNESS_ACTIONS), f"the router may {found} and not all of a harness's actions")
    (allowed,) = values(policy, "Resource")
    for kind, arns in {
        "AgentCore": ["Harness.Outputs.EndpointArn", "Harness.Outputs.HarnessArn"],
        "BedrockClassic": ["Alias.AgentAliasArn"],
    }.items():
        found = references(resolved(allowed, template, CreateAgents=kind))
        expect(found == ["ExampleAgents.Outputs.ArnsToAllow"], f"the router may call {found} of {kind}")
        found = references(resolved(specialist["Outputs"]["ArnsToAllow"]["Value"], specialist, Kind=kind))
        expect(found == arns, f"who calls a specialist of {kind} may call {found}")
    for stack in resources(roster, "AWS::CloudFormation::Stack").values():
        expect(stack["Parameters"]["Kind"] == {"Ref": "Kind"}, "a specialist of the example is of another kind")
