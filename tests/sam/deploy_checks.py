"""What would only show when a stack is deployed, updated, or deployed a second time elsewhere."""

import re
import tomllib
from itertools import combinations

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from findings import expect, expect_equal
from template import ROOT, read
from tree import as_list, holds, resolved, resources, texts, values

# What traffic does under each value of `Rollout`: the percentage that a new version gets before the
# rest, and whether a raised alarm on it stops the deployment.
ROLLOUTS = {
    "AllAtOnce": (100, True),
    "Canary5Percent": (5, True),
    "Canary25Percent": (25, True),
    "Emergency": (100, False),
}

# The property with which a template may name a resource, by type. None: it cannot, or the name
# counts within another resource only, which has none of its own.
NAMES = {
    "AWS::Bedrock::Agent": "AgentName",
    "AWS::Bedrock::AgentAlias": None,
    "AWS::BedrockAgentCore::Gateway": "Name",
    "AWS::BedrockAgentCore::GatewayTarget": None,
    "AWS::BedrockAgentCore::Harness": "HarnessName",
    "AWS::BedrockAgentCore::HarnessEndpoint": None,
    "AWS::CloudFormation::Stack": None,
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeDeploy::Application": "ApplicationName",
    "AWS::CodeDeploy::DeploymentConfig": "DeploymentConfigName",
    "AWS::CodeDeploy::DeploymentGroup": None,
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Events::Rule": "Name",
    "AWS::Lambda::Alias": None,
    "AWS::Lambda::EventInvokeConfig": None,
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::Permission": None,
    "AWS::Lambda::Url": None,
    "AWS::Lambda::Version": None,
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SNS::Subscription": None,
    "AWS::SNS::Topic": "TopicName",
    "AWS::SNS::TopicPolicy": None,
    "AWS::SQS::Queue": "QueueName",
}

# Types whose names are an account's, in whichever region: a second region's stack would meet the
# first one's. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Dashboards.html
# and https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
OF_THE_ACCOUNT = {"AWS::CloudWatch::Dashboard", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role"}

# Properties that a service refuses to change, though CloudFormation's schema knows nothing of it.
# https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/2578
UNCHANGEABLE = {"AWS::BedrockAgentCore::Gateway": {"AuthorizerType", "Name", "ProtocolType"}}


def check(template, translated, nested):
    check_rollouts(translated, nested["stacks/alarms.yaml"])
    check_further_functions(template)
    check_models(nested["stacks/example-agents.yaml"])
    check_names({"as translated": translated, **nested})
    check_replacements({"as translated": translated, **nested})
    check_gateway(nested["stacks/gateway.yaml"])
    check_what_is_kept({"template.yaml": template, **nested})
    check_environments(template)
    check_documented_commands(template)


def check_rollouts(translated, watching):
    """A canary is watched by all alarms on the newest version; a fix can go out past them."""
    (group,) = resources(translated, "AWS::CodeDeploy::DeploymentGroup").values()
    (alias,) = [one for one in translated["Resources"].values() if one["Type"] == "AWS::Lambda::Alias"]
    shifting = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    asked = ["ApplicationName", "BeforeAllowTrafficHook", "DeploymentGroupName"]
    expect_equal(shifting, asked, "what a deployment asks")
    check_the_gates_hook(shifting["BeforeAllowTrafficHook"], translated)
    alarms = resources(watching, "AWS::CloudWatch::Alarm")
    newest = {name for name, alarm in alarms.items() if "FunctionVersion" in list(texts(alarm))}
    expect(newest, "no alarm watches the newest version")
    for name in newest:
        named = watching["Outputs"].get(name, {}).get("Value")
        expect(named == {"Ref": name}, f"the output {name} is not that alarm's name")
    (stack,) = [
        name
        for name, one in translated["Resources"].items()
        if one.get("Properties", {}).get("TemplateURL") and "FunctionVersion" in one["Properties"]["Parameters"]
    ]
    # Through the alias they would move on after the traffic, and CodeDeploy could not wait for them.
    version = as_list(translated["Resources"][stack]["Properties"]["Parameters"]["FunctionVersion"]["Fn::GetAtt"])
    kind = translated["Resources"][version[0].split(".")[0]]["Type"]
    expect(kind == "AWS::Lambda::Version", f"the alarms on the newest version watch {version}")
    expect_equal(translated["Parameters"]["Rollout"]["AllowedValues"], ROLLOUTS, "values of Rollout")
    for rollout, (percent, watched) in ROLLOUTS.items():
        found = resolved(group, translated, Rollout=rollout)
        config = found["DeploymentConfigName"]
        if config == {"Fn::Sub": ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": "AllAtOnce"}]}:
            shifted = 100
        else:
            routing = resources(translated, "AWS::CodeDeploy::DeploymentConfig")[config["Ref"]]
            shifted = routing["TrafficRoutingConfig"]["TimeBasedCanary"]["CanaryPercentage"]
        expect(shifted == percent, f"{rollout} gives a new version {shifted} percent at first")
        # Nothing at all would be no change, and CodeDeploy keep the alarms that the group had.
        # https://github.com/aws/serverless-application-model/issues/2452
        asked = found.get("AlarmConfiguration")
        expect(asked is not None, f"{rollout} leaves the deployment group's alarms as they were")
        asked = asked or {}
        named = [".".join(as_list(alarm["Name"]["Fn::GetAtt"])) for alarm in asked.get("Alarms", [])]
        names = {name.removeprefix(f"{stack}.Outputs.") for name in named}
        expect_equal(names, newest if watched else [], f"alarms that stop {rollout}")
        expect(asked.get("Enabled", False) == watched, f"alarms of {rollout}: {asked.get('Enabled')}")


def check_further_functions(template):
    """Each function that the parameter may name has a condition, which holds when it is named, among others too."""
    pattern = template["Parameters"]["FurtherFunctions"]["AllowedPattern"]
    named = sorted(re.search(r"\(([a-z|-]+)\)", pattern)[1].split("|"))
    agents = {"Specialists": ["supervisor"], "SpecialistArns": ["arn"]}
    for count in range(len(named) + 1):
        for functions in combinations(named, count):
            given = {"FurtherFunctions": list(functions), **agents}
            for name in named:
                condition = f"Has{name.title().replace('-', '')}"
                found = holds(condition, template, **given)
                expect(found == (name in functions), f"{condition} of {functions} is {found}")


def check_the_gates_hook(hook, translated):
    """A new version asks the gate where there is one, and a fix does not; CodeDeploy may invoke it then."""
    gate = {"Fn::GetAtt": ["RoutingGate", "Outputs.FunctionName"]}
    role = translated["Resources"]["DeploymentRole"]["Properties"]["Policies"]
    agents = {"Specialists": ["supervisor"], "SpecialistArns": ["arn"]}
    for functions in ([], ["routing-gate"], ["escalation-desk", "routing-gate"], ["escalation-desk"]):
        for rollout in ROLLOUTS:
            given = {"FurtherFunctions": functions, "Rollout": rollout, **agents}
            asks = "routing-gate" in functions and rollout != "Emergency"
            found = resolved(hook, translated, **given)
            expect((found == gate) == asks, f"{rollout} of {functions}: the hook is {found}")
            invokes = "AskTheGate" in texts(resolved(role, translated, **given))
            expect(invokes == asks, f"{rollout} of {functions}: CodeDeploy may invoke the gate: {invokes}")


def check_models(template):
    """An agent of the example runs on a model at the price that the policy has for its specialist."""
    policy = tomllib.loads((ROOT / "functions/supervisor-router/routing.toml").read_text(encoding="utf-8"))
    rows = template["Mappings"]["Models"]
    made = [
        stack["Parameters"]
        for stack in resources(template, "AWS::CloudFormation::Stack").values()
        if "Job" in stack["Parameters"]
    ]
    expect_equal([one["Name"] for one in made], policy["specialists"], "specialists of the example")
    for one in made:
        asked = set(values([one["Model"], one["InferenceProfileArea"]], "Ref"))
        (parameter,) = asked if len(asked) == 1 else (None,)
        choices = template["Parameters"].get(parameter, {}).get("AllowedValues", [])
        expect(choices, f"{one['Name']}: its model and profile are not chosen together, from a list")
        price = policy["specialists"][one["Name"]]["price"]
        priced = (price["input_usd_per_mtok"], price["output_usd_per_mtok"])
        for choice in choices:
            row = rows.get(choice, {"Model": None, "Area": None, "InputPrice": 0, "OutputPrice": 0})
            costs = (float(row["InputPrice"]), float(row["OutputPrice"]))
            expect(costs == priced, f"{one['Name']} on {choice} costs {costs}, the policy says {priced}")
            found = resolved(one, template, **{parameter: choice})
            expect(found["Model"] == row["Model"], f"{one['Name']} runs on {found['Model']}")
            area = found["InferenceProfileArea"]
            expect(area == row["Area"], f"{one['Name']} calls {choice} through {area}")


def check_names(templates):
    """Stacks of one account, in one region or two, do not take each other's names."""
    for where, template in templates.items():
        for logical_id, resource in template["Resources"].items():
            kind = resource["Type"]
            if kind not in NAMES:
                expect(False, f"{where}: how is {logical_id} named? NAMES does not know {kind}")
            elif NAMES[kind] in resource.get("Properties", {}):
                name = " ".join(texts(resource["Properties"][NAMES[kind]]))
                # Nested stacks get the root's name as Prefix.
                expect(
                    re.search(r"AWS::StackName|\$\{Prefix\}", name), f"{where}: {logical_id} is every stack's"
                )
                regional = kind not in OF_THE_ACCOUNT or "AWS::Region" in name
                expect(regional, f"{where}: {logical_id} has the same name in every region")


def check_replacements(templates):
    """No parameter changes what a named resource cannot change.

    It would be replaced, and the new one made while the old one still has the name; or the service
    would refuse.
    """
    for where, template in templates.items():
        for logical_id, resource in template["Resources"].items():
            kind, properties = resource["Type"], resource.get("Properties", {})
            if NAMES.get(kind) not in properties:
                continue
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
            fixed = {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}
            # Another name is no clash.
            fixed.discard(NAMES[kind])
            for name in (fixed | UNCHANGEABLE.get(kind, set())) & set(properties):
                variable = depends_on_parameters(properties[name], template)
                expect(not variable, f"{where}: {logical_id} cannot change its {name}, {variable} does")


def depends_on_parameters(node, template):
    """The parameters and conditions that a value depends on, but for the stack's own name."""
    names = set(values(node, "Ref")) | {argument[0] for argument in values(node, "Fn::If")}
    for text in texts(node):
        names |= set(re.findall(r"\$\{(\w+)\}", text))
    return sorted(names & (set(template["Parameters"]) | set(template.get("Conditions", {}))) - {"Prefix"})


def check_gateway(gateway):
    """There is one gateway, whatever its callers are authorized by, and the target and URL are its."""
    kinds = resources(gateway, "AWS::BedrockAgentCore::Gateway")
    (target,) = resources(gateway, "AWS::BedrockAgentCore::GatewayTarget").values()
    for url, authorizer in {"": "AWS_IAM", "https://tokens.example": "CUSTOM_JWT"}.items():
        given = {"JwtDiscoveryUrl": url}
        there = [
            name
            for name in kinds
            if holds(gateway["Resources"][name].get("Condition", {"Fn::And": []}), gateway, **given)
        ]
        expect(len(there) == 1, f"gateways for {authorizer}: {there}")
        for name in there:
            expect(kinds[name]["AuthorizerType"] == authorizer, f"{name} is not for {authorizer}")
            of = resolved(target["GatewayIdentifier"], gateway, **given)
            expect(of == {"Ref": name}, f"the target is not {name}'s")
            shown = resolved(gateway["Outputs"]["Url"]["Value"], gateway, **given)
            shown = [part for one in as_list(shown["Fn::GetAtt"]) for part in one.split(".")]
            expect(shown == [name, "GatewayUrl"], f"the URL is not {name}'s")
    named = {name: " ".join(texts(one["Name"])) for name, one in kinds.items()}
    expect(len(set(named.values())) == len(named), "a new gateway comes before the old one goes: other names")


def check_what_is_kept(templates):
    """What outlives its stack does not outlive a stack that could not be made."""
    for where, template in templates.items():
        for logical_id, resource in template["Resources"].items():
            policy = resource.get("DeletionPolicy")
            expect(policy != "Retain", f"{where}: a first deployment that fails would leave {logical_id}")
            if resource["Type"] == "AWS::DynamoDB::Table":
                expect(policy == "RetainExceptOnCreate", f"{where}: {logical_id} is deleted with the stack")
                replaced = resource.get("UpdateReplacePolicy")
                expect(replaced == "Retain", f"{where}: {logical_id} is deleted when it is replaced")


def overrides(words):
    return dict(word.split("=", 1) for word in words)


def check_overrides(where, found, template):
    for name, value in found.items():
        rule = template["Parameters"].get(name)
        if rule is None:
            expect(False, f"{where}: there is no parameter {name}")
            continue
        allowed = [str(one) for one in rule.get("AllowedValues", [value])]
        items = value.split(",") if rule["Type"] == "CommaDelimitedList" else [value]
        fits = all(re.search(rule.get("AllowedPattern", ""), item) for item in items)
        expect(value in allowed and fits, f"{where}: {name} cannot be {value}")


def check_environments(template):
    """What samconfig.toml sets is there and allowed, and its stacks do not meet in one account."""
    environments = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    environments.pop("version")
    expect_equal(environments, ["default", "staging", "production"], "environments of samconfig.toml")
    stacks, namespaces = set(), set()
    for name, commands in environments.items():
        found = overrides(commands["deploy"]["parameters"].get("parameter_overrides", []))
        check_overrides(f"samconfig.toml, {name}", found, template)
        stacks.add(commands["global"]["parameters"]["stack_name"])
        # Alarms and metrics know each other by it: two stacks of one would raise each other's.
        namespaces.add(found.get("MetricsNamespace", template["Parameters"]["MetricsNamespace"]["Default"]))
    expect(len(stacks) == len(environments), "two environments of samconfig.toml have one stack")
    expect(len(namespaces) == len(environments), "two environments of samconfig.toml count together")


def check_documented_commands(template):
    """The documentation's commands name parameters that there are, and build what they deploy."""
    pages = [ROOT / "README.md", ROOT / "docs/deploy.md"]
    text = "\n\n".join(page.read_text(encoding="utf-8") for page in pages)
    commands = re.findall(r"\bsam (build|deploy)\b((?:\\\n|[^`\n])*)", text)
    for command, rest in commands:
        found = overrides(re.findall(r"\b[A-Z]\w*=\S+", rest))
        check_overrides(f"documentation, sam {command}", found, template)
    for file, rest in re.findall(r"\baws cloudformation deploy --template-file (\S+)((?:\\\n|[^`\n])*)", text):
        asked = read(ROOT / file)["Parameters"]
        given = set(re.findall(r"\b([A-Z]\w*)=", rest))
        needed = {name for name, rule in asked.items() if "Default" not in rule}
        expect(needed <= given <= set(asked), f"documentation, {file}: it is given {sorted(given)}")
    # Cargo builds for one architecture, and Lambda starts what was built for another one in vain.
    (told,) = [one for one in text.split("\n\n") if "`Architecture` is" in one]
    for command in ("build", "deploy"):
        expect(f"sam {command} --parameter-overrides Architecture=x86_64" in told, f"sam {command}, x86_64?")
    expect("Rollout=Emergency" in text, "docs/deploy.md does not say how a fix goes out")
