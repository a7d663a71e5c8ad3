"""What no linter knows of the template: that it fits the function, the policy and AWS' limits.

Reads template.yaml, the stacks nested in it and what SAM makes of it (named on the command line),
and compares them with the function's sources. That every reference resolves is cfn-lint's to find,
but for the outputs of nested stacks.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import cfnlint

import agent_checks
import deploy_checks
from findings import expect, expect_equal, problems
from template import ROOT, read
from tree import as_list, holds, resolved, resources, texts, values

FUNCTIONS = ROOT / "functions"
POLICIES = Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json"

# Variables that the function reads and the template does not set.
NOT_SET = {
    "AWS_ENDPOINT_URL": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_CLOUDWATCH": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_CODEDEPLOY": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_DYNAMODB": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_LAMBDA": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_SNS": "the SDK finds AWS by itself",
    "AWS_ENDPOINT_URL_STS": "the SDK finds AWS by itself",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "Lambda sets it",
    "AWS_LAMBDA_FUNCTION_NAME": "Lambda sets it",
    "AWS_LAMBDA_FUNCTION_VERSION": "Lambda sets it",
    "AWS_LAMBDA_LOG_LEVEL": "POWERTOOLS_LOG_LEVEL goes first",
    "AWS_LAMBDA_LOG_STREAM_NAME": "Lambda sets it",
    "AWS_REGION": "Lambda sets it",
    "POLICY_REFRESH_SECONDS": "a minute is right for most",
    "SPECIALIST_AGENTS": "SPECIALISTS and SPECIALIST_ARNS name the agents",
    "METRICS_DELIVERY": "a call is the default, and what the role may do",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "for a receiver that is far away",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT goes first",
    "OTEL_EXPORTER_OTLP_HEADERS": "would show a key to each reader of the function's settings",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "there is one",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "a second is right for most",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "for a receiver that is far away",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "would show a key to each reader of the function's settings",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "there is one",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "a second is right for most",
    "OTEL_RESOURCE_ATTRIBUTES": "Lambda's own say which function it is",
    "OTEL_SDK_DISABLED": "without an endpoint there are no traces",
    "OTEL_SERVICE_NAME": "POWERTOOLS_SERVICE_NAME says it",
    "OTEL_TRACES_EXPORTER": "without an endpoint there are no traces",
    "POWERTOOLS_METRICS_NAMESPACE": "METRICS_NAMESPACE overrides it",
}

# Resources with a wildcard in them, by action. `*` alone needs no word here where AWS knows no
# resources for the action.
WILDCARDS = {
    "bedrock-agentcore:InvokeAgentRuntime": "the endpoints of runtimes and harnesses, which are named",
    "bedrock-agentcore:InvokeHarness": "as bedrock-agentcore:InvokeAgentRuntime",
    "bedrock:InvokeModel": "the inference profile picks the region; a condition names the profile",
    "bedrock:InvokeModelWithResponseStream": "as bedrock:InvokeModel",
    "cloudwatch:DescribeAlarms": "it is asked of several alarms at once",
    "cloudwatch:PutMetricData": "metrics are no resources; a condition names the namespace",
    "codedeploy:PutLifecycleEventHookExecutionStatus": "deployments' groups, of one application",
    "lambda:GetProvisionedConcurrencyConfig": "versions' numbers are not known before",
}
# What the router may do beyond the calls that its code makes.
NOT_CALLED = {
    "logs:CreateLogStream": "Lambda writes the log as the function",
    "logs:PutLogEvents": "Lambda writes the log as the function",
    "xray:PutSpans": "X-Ray's OTLP endpoint asks for it",
    "xray:PutTelemetryRecords": "Lambda sends its traces as the function",
    "xray:PutTraceSegments": "Lambda sends its traces as the function",
}

# Operations of the SDK's clients, as the sources call them, and what IAM asks for them.
# TransactWriteItems is no action: its items are put and updated.
OPERATIONS = {
    "batch_get_item": "dynamodb:BatchGetItem",
    "converse_stream": "bedrock:InvokeModelWithResponseStream",
    "delete_item": "dynamodb:DeleteItem",
    "get_item": "dynamodb:GetItem",
    "invoke_agent": "bedrock:InvokeAgent",
    "invoke_agent_runtime": "bedrock-agentcore:InvokeAgentRuntime",
    "invoke_harness": "bedrock-agentcore:InvokeHarness",
    "publish": "sns:Publish",
    "put_item": "dynamodb:PutItem",
    "put_metric_data": "cloudwatch:PutMetricData",
    "query": "dynamodb:Query",
    "scan": "dynamodb:Scan",
    "set_condition_check": "dynamodb:ConditionCheckItem",
    "set_delete": "dynamodb:DeleteItem",
    "set_put": "dynamodb:PutItem",
    "set_update": "dynamodb:UpdateItem",
    "update_item": "dynamodb:UpdateItem",
}

# Lists of items are for the operator's program alone, which has its user's permissions.
OF_OPERATORS = "list.rs"

ALIAS = {"Ref": "SupervisorRouterFunctionAliaslive"}


def code(path):
    """A source file without its tests, which are at its end."""
    return path.read_text(encoding="utf-8").split("#[cfg(test)]")[0]


def sources(folder, without=frozenset()):
    left_out = {"tests.rs", "doubles.rs", *without}
    return [code(path) for path in sorted(folder.rglob("*.rs")) if path.name not in left_out]


# --- Settings


def read_by_function():
    """The names in the sources of the settings, and those that are put together there."""
    names = set()
    for text in [code(FUNCTIONS / "router-aws/src/settings.rs")] + sources(
        FUNCTIONS / "router-aws/src/settings"
    ):
        names |= set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|SPECIALISTS)"', text))
        for end in re.findall(r'of_traces\(var, "([A-Z]+)"\)', text):
            names |= {f"OTEL_EXPORTER_OTLP_TRACES_{end}", f"OTEL_EXPORTER_OTLP_{end}"}
    return names


def check_settings(template, translated):
    function = translated["Resources"]["SupervisorRouterFunction"]["Properties"]
    variables = function["Environment"]["Variables"]
    expect_equal(set(variables) | set(NOT_SET), read_by_function(), "environment variables")
    expect_equal(set(variables) & set(NOT_SET), [], "environment variables that are not to be set")

    # A parameter's new value reaches the alias only with a new version, see `VersionDescription`.
    (version,) = resources(translated, "AWS::Lambda::Version").values()
    conditions = template["Conditions"]
    parameters = set(template["Parameters"])
    asked = parameters_in(variables, conditions, parameters)
    told = parameters_in(version["Description"], conditions, parameters)
    # By its id, which changes with the names in its description, and by its version.
    agents = {"SpecialistsPolicy.PolicyId", "SpecialistsPolicy.DefaultVersionId"}
    described = {name for text in texts(version["Description"]) for name in re.findall(r"\$\{([\w.]+)\}", text)}
    expect(agents <= described, "the version's description does not tell the specialists' policy")
    policy = resources(translated, "AWS::IAM::ManagedPolicy")["SpecialistsPolicy"]
    expect("ManagedPolicyName" not in policy, "SpecialistsPolicy cannot be replaced under its name")
    told |= parameters_in(policy["Description"], conditions, parameters)
    told |= parameters_in(policy["PolicyDocument"], conditions, parameters)
    expect_equal(told, asked, "parameters that the version's description tells")


def parameters_in(node, conditions, parameters):
    """The parameters on which a value depends, by way of conditions too."""
    found = set(values(node, "Ref")) & parameters
    for text in texts(node):
        found |= set(re.findall(r"\$\{(\w+)\}", text)) & parameters
    asked = [arguments[0] for arguments in values(node, "Fn::If")] + list(values(node, "Condition"))
    for condition in asked:
        found |= parameters_in(conditions[condition], conditions, parameters)
    return found


# --- Permissions


def statements(template):
    """The statements of all roles' policies, with the role's name, whatever the conditions."""
    policies = []
    for role, properties in resources(template, "AWS::IAM::Role").items():
        expect("ManagedPolicyArns" not in properties, f"{role} has managed policies")
        policies += [(role, policy) for policy in properties.get("Policies", [])]
    for policy in resources(template, "AWS::IAM::ManagedPolicy").values():
        policies += [(role["Ref"], policy) for role in policy["Roles"]]
    for role, policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            for one in statement["Fn::If"][1:] if "Fn::If" in statement else [statement]:
                if "Effect" in one:
                    yield role, one


def alternatives(node):
    if isinstance(node, dict) and "Fn::If" in node:
        return [one for branch in node["Fn::If"][1:] for one in alternatives(branch)]
    return [one for child in node for one in alternatives(child)] if isinstance(node, list) else [node]


def check_permissions(name, template):
    known = json.loads(POLICIES.read_text(encoding="utf-8"))
    is_of_harness = bool(resources(template, "AWS::BedrockAgentCore::Harness"))
    for role, statement in statements(template):
        where = f"{name}: {role}, {statement.get('Sid')}"
        expect(statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}, where)
        actions = alternatives(statement["Action"])
        wide = [one for one in alternatives(statement["Resource"]) if any("*" in text for text in texts(one))]
        for action in actions:
            service, operation = action.split(":")
            entry = known[service]["Actions"].get(operation.lower())
            expect(entry is not None, f"{where}: {action} is no action")
            no_resources = entry is not None and not entry.get("Resources")
            reasoned = action in WILDCARDS or (no_resources and wide == ["*"])
            expect(not wide or reasoned, f"{where}: {action} on {wide}")
    for role, properties in resources(template, "AWS::IAM::Role").items():
        for statement in properties["AssumeRolePolicyDocument"]["Statement"]:
            # Lambda asks for no condition: only the account itself can give it a role there.
            if as_list(statement["Principal"]["Service"]) != ["lambda.amazonaws.com"]:
                keys = {key for test in statement.get("Condition", {}).values() for key in test}
                # Why not of a harness's, its comment says.
                asked = {"aws:SourceAccount"} if is_of_harness else {"aws:SourceAccount", "aws:SourceArn"}
                expect(keys == asked, f"{name}: who has {role} assumed?")


def check_the_routers_permissions(template):
    role = "SupervisorRouterRole"
    granted = {
        action
        for of, statement in statements(template)
        if of == role
        for action in alternatives(statement["Action"])
    }
    called = set()
    for text in sources(FUNCTIONS, {OF_OPERATORS}):
        # A request's builder takes nothing; those of a transaction's items are handed over.
        calls = re.findall(r"\.(\w+)\(\)", text) + re.findall(r"\.(set_\w+)\(", text)
        called |= {OPERATIONS[name] for name in calls if name in OPERATIONS}
    expect_equal(granted | set(NOT_CALLED), called | set(NOT_CALLED), f"actions of {role}")


def check_the_door(template, translated):
    """The front door does what the router does, remembers sessions, and asks what was there before."""
    found = {}
    for _, statement in statements(template):
        for action in alternatives(statement["Action"]):
            found.setdefault(action, []).append(statement)
    routers = {
        action
        for of, statement in statements(translated)
        if of == "SupervisorRouterRole"
        for action in alternatives(statement["Action"])
    }
    expect_equal(found, routers | {"dynamodb:Query", "lambda:InvokeFunction"}, "actions of the front door")
    for action in ("dynamodb:DeleteItem", "dynamodb:Query"):
        keys = [one["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] for one in found[action]]
        expect_equal(keys, ["SESSION#*"], f"items that the front door may {action}")
    named = [one["Resource"] for one in found["lambda:InvokeFunction"]]
    expect(named == [{"Ref": "FurtherAgentArns"}], f"functions that the front door may invoke: {named}")

    # The gateway is the router's alone.
    (function,) = resources(template, "AWS::Lambda::Function").values()
    router = translated["Resources"]["SupervisorRouterFunction"]["Properties"]
    variables = set(router["Environment"]["Variables"]) - {"GATEWAY_INJECTS_SESSION"}
    expect_equal(function["Environment"]["Variables"], variables, "variables of the front door")

    # https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    (url,) = resources(template, "AWS::Lambda::Url").values()
    expect(url["AuthType"] == "AWS_IAM", "the front door's URL is open to everybody")
    expect(url["InvokeMode"] == "RESPONSE_STREAM", "the front door's URL does not stream")
    given = {one["Action"]: one for one in resources(template, "AWS::Lambda::Permission").values()}
    expect_equal(given, ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"], "what a URL's caller needs")
    for action, permission in given.items():
        asked = {"FunctionUrlAuthType": "AWS_IAM"} if action.endswith("Url") else {"InvokedViaFunctionUrl": True}
        expect(asked.items() <= permission.items(), f"{action} is not given to callers of the URL alone")
        expect(permission["Principal"] == {"Ref": "AWS::AccountId"}, f"{action} is given to others")


def check_the_desks_permissions(template):
    """The desk touches sessions and escalations, and no other item."""
    found = {}
    for _, statement in statements(template):
        for action in alternatives(statement["Action"]):
            found[action] = statement
    asked = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"}
    for action in asked:
        keys = found[action]["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
        expect_equal(keys, ["ESCALATION#*", "SESSION#*"], f"items that the desk may {action}")
    others = {"cloudwatch:PutMetricData", "sns:Publish", "sqs:SendMessage"}
    expect_equal(set(found) - set(NOT_CALLED), asked | others, "actions of the desk")


def check_the_gates_permissions(template):
    """The gate calls the agent that is named first, pays from its own budget, tells deployments, and reads no file but
    its cases."""
    first = {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "SpecialistArns"}]}]}
    called = {"CallTheSupervisor": first, "CallItsEndpoints": {"Fn::Sub": ["${Arn}/*", {"Arn": first}]}}
    called["CallItsModels"] = {"Fn::Split": [",", {"Ref": "FurtherAgentArns"}]}
    keys = {"PayFromItsOwnBudget": ["SESSION#gate-*", "TENANT#routing-gate"], "ReadThePolicy": ["POLICY"]}
    others = {"ReadTheCases", "TellDeployments", "PublishMetrics", "WriteTheLog", "SendLambdasTraces"}
    found = {statement["Sid"]: statement for _, statement in statements(template)}
    expect_equal(found, set(called) | set(keys) | others, "statements of the gate")
    for name, resource in called.items():
        expect(found[name]["Resource"] == resource, f"the gate's {name} is on other agents")
    for name, leading in keys.items():
        (condition,) = found[name]["Condition"].values()
        expect_equal(condition["dynamodb:LeadingKeys"], leading, f"items of the gate's {name}")
    read = found["ReadTheCases"]
    expect_equal(as_list(read["Action"]), ["s3:GetObject"], "what the gate does with its cases")
    pattern = template["Parameters"]["Cases"]["AllowedPattern"]
    for cases, place in {"example": None, "s3://cases/team a/1.jsonl": "cases/team a/1.jsonl"}.items():
        expect(re.search(pattern, cases), f"the gate's cases may not be {cases}")
        found_place = resolved(read["Resource"], template, Cases=cases)["Fn::Sub"][1]["Object"]
        reads = holds("ReadsAnObject", template, Cases=cases)
        expect_equal([found_place] if reads else [], [place] if place else [], f"what the gate reads of {cases}")
    for cases in ("s3://cases/*", "s3://cases", "file:cases.jsonl", ""):
        expect(not re.search(pattern, cases), f"the gate's cases may be {cases}")
    told = as_list(found["TellDeployments"]["Action"])
    expect_equal(told, ["codedeploy:PutLifecycleEventHookExecutionStatus"], "what the gate tells deployments")


# --- Tools

# The files with the arguments of tools other than the first.
TOOLS = ("several", "read", "escalate")


def tools_of_function():
    """The tools that the function carries out, and their arguments: whether each is required."""
    folder = FUNCTIONS / "router-core/src/wire"
    text = "".join(code(folder / name) for name in ("tools.rs", *(f"tools/{tool}.rs" for tool in TOOLS)))
    tools = re.findall(r'^\s+"(\w+)" => \{?\s*Ok\(', text, re.MULTILINE)
    names = set(re.findall(r'(?:\.text|\.get|\.array|\.names)\("(\w+)"\)', text))
    required = set(re.findall(r'let Some\(\w+\) = arguments\.(?:text|array|names)\("(\w+)"\)\?', text))
    required |= set(re.findall(r'match arguments\.text\("(\w+)"\)\? \{\s+None => Err', text))
    return set(tools), {name: name in required for name in names}


def check_tools(supervisor, gateway):
    tools, arguments = tools_of_function()
    agent = resources(supervisor, "AWS::Bedrock::Agent")["Agent"]
    (group,) = agent["ActionGroups"]
    functions = {one["Name"]: one for one in group["FunctionSchema"]["Functions"]}
    expect_equal(functions, tools, "functions of the supervisor's action group")
    offered = {}
    for function in functions.values():
        offered |= {name: one.get("Required", False) for name, one in function["Parameters"].items()}
        # https://docs.aws.amazon.com/bedrock/latest/userguide/quotas.html, "Parameters per function"
        expect(len(function["Parameters"]) <= 5, f"{function['Name']} has more than 5 parameters")
        # https://docs.aws.amazon.com/bedrock/latest/userguide/agents-action-add.html
        seen = f"POST__{group['ActionGroupName']}__{function['Name']}"
        expect(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", seen), f"a model cannot be offered {seen}")
        expect(seen.count("__") == 2, f"{seen} cannot be taken apart")
    expect_equal(offered.items(), arguments.items(), "parameters in the action group")
    expect(len(functions) <= 11, "an action group has 11 functions at most")
    # The API's limit, which CloudFormation's schema does not tell.
    expect(len(agent["Instruction"]) <= 4000, "the supervisor's instruction is too long")

    (target,) = resources(gateway, "AWS::BedrockAgentCore::GatewayTarget").values()
    schema = target["TargetConfiguration"]["Mcp"]["Lambda"]["ToolSchema"]["InlinePayload"]
    expect_equal({one["Name"] for one in schema}, tools, "tools of the gateway")
    of_one_task = dict(schema[0]["InputSchema"]["Properties"])
    of_one_task.pop("session_id", None)
    for one in schema:
        function, properties = functions.get(one["Name"], {}), dict(one["InputSchema"]["Properties"])
        required = set(one["InputSchema"]["Required"])
        # A gateway has no session of its own.
        expect("session_id" in required, f"{one['Name']} of the gateway asks for no session")
        properties.pop("session_id", None)
        # Two descriptions are parameters of the stack, since rosters differ.
        same = {
            name: {"Type": of["Type"], "Required": name in required}
            | ({} if isinstance(of["Description"], dict) else {"Description": of["Description"]})
            for name, of in properties.items()
        }
        described = dict(function.get("Parameters", {}))
        for name, of in properties.items():
            if isinstance(of["Description"], dict) and name in described:
                described[name] = {key: it for key, it in described[name].items() if key != "Description"}
            if of["Type"] == "array" and of["Items"]["Type"] == "object":
                expect(of["Items"]["Properties"] == of_one_task, f"items of {name} are another task")
        expect(same == described, f"the gateway's {one['Name']} is another")
        expect(one["Description"] == function.get("Description"), f"{one['Name']} is described twice")


# --- What calls what


def check_alias(template):
    """Every caller of the function calls its alias: traffic is moved there."""
    for name, permission in resources(template, "AWS::Lambda::Permission").items():
        expect(permission["FunctionName"] == ALIAS, f"{name} is not for the alias")
    for name, stack in resources(template, "AWS::CloudFormation::Stack").items():
        router = stack["Parameters"].get("RouterArn", ALIAS)
        expect(router == ALIAS, f"{name} does not call the alias")


def check_nested(template, nested):
    """References to outputs resolve, and each stack gets the parameters that it has no default for."""
    for name, stack in resources(template, "AWS::CloudFormation::Stack").items():
        inner = nested[f"stacks/{Path(stack['TemplateURL']).name}"]
        outputs, asked = inner["Outputs"], inner["Parameters"]
        given = set(stack["Parameters"])
        expect(given <= set(asked), f"{name} is given {given - set(asked)}")
        needed = {one for one, rule in asked.items() if "Default" not in rule}
        expect(needed <= given, f"{name} is not given {needed - given}")
        references = [".".join(reference) for reference in values(template, "Fn::GetAtt")]
        references += [name for text in texts(template) for name in re.findall(r"\$\{([\w.]+)\}", text)]
        for reference in references:
            if reference.startswith(f"{name}."):
                output = reference.removeprefix(f"{name}.Outputs.")
                expect(output in outputs, f"{name} has no output {output}")


def check_size(template):
    """What `sam deploy --guided` asks, and what a reader has to read."""
    asked = len(template["Parameters"])
    expect(asked <= 15, f"template.yaml has {asked} parameters, 15 are the most")
    lines = len((ROOT / "template.yaml").read_text(encoding="utf-8").splitlines())
    expect(lines <= 600, f"template.yaml has {lines} lines, 600 are the most")


def check_rosters(nested):
    """No specialist stands in a template, but for the example's."""
    policy = tomllib.loads((FUNCTIONS / "supervisor-router/routing.toml").read_text(encoding="utf-8"))
    paths = [ROOT / "template.yaml", *(ROOT / name for name in nested if "/example-" not in name)]
    # `support`, `orders` and `general` are words of the language too.
    names = [*policy["specialists"], *(intent for one in policy["specialists"].values() for intent in one["intents"])]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for name in set(names) - {"support", "general", "order", "account", "contact"}:
            expect(not re.search(rf"\b{name}\b", text), f"{path.name} names {name}")


def main():
    template, translated = read(ROOT / "template.yaml"), read(sys.argv[1])
    nested = {f"stacks/{path.name}": read(path) for path in (ROOT / "stacks").glob("*.yaml")}
    supervisor = nested["stacks/example-supervisor.yaml"]
    gateway = nested["stacks/gateway.yaml"]
    check_size(template)
    check_settings(template, translated)
    for name, one in {"template.yaml": template, "as translated": translated, **nested}.items():
        check_permissions(name, one)
    check_the_routers_permissions(template)
    check_the_desks_permissions(nested["stacks/escalations.yaml"])
    check_the_door(nested["stacks/front-door.yaml"], translated)
    check_the_gates_permissions(nested["stacks/routing-gate.yaml"])
    check_tools(supervisor, gateway)
    agent_checks.check(template, nested)
    check_alias(template)
    check_nested(template, nested)
    check_nested(nested["stacks/example-agents.yaml"], nested)
    check_nested(nested["stacks/example-specialist.yaml"], nested)
    check_rosters(nested)
    deploy_checks.check(template, translated, nested)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


main()
