"""The built template, and what is changed in it to run it here."""

import logging
import os
import re
import sys
from pathlib import Path

from samcli.commands.validate.lib.exceptions import InvalidSamDocumentException
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_dump, yaml_parse

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".aws-sam" / "build"
FUNCTION = "SupervisorRouterFunction"
CODE = BUILT / FUNCTION

MACHINE = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)

# The stack's parameters: this machine's processors, and the agents of the sandbox's script.
PARAMETERS = {
    "Architecture": MACHINE,
    "SupervisorAgentId": "SUPERVIS01",
    "Specialists": "billing,orders,support,general",
    "SpecialistArns": ",".join(
        (
            "arn:aws:bedrock:us-east-1:123456789012:agent-alias/BILLING001/LIVE000001",
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:harness/orders-AbCdEf1234/harness-endpoint/live",
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/support-AbCdEf1234",
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
        )
    ),
}


class NoManagedPolicies:
    """SAM looks up managed policies by name in an account; the template names none."""

    def load(self):
        return {}


def read(path):
    return yaml_parse(Path(path).read_text(encoding="utf-8"))


def write(template, path):
    Path(path).write_text(yaml_dump(template), encoding="utf-8")


def packaged(template):
    """The template with nested stacks where `sam package` puts them, in a bucket."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://s3.amazonaws.com/bucket/nested.template"
    return template


def translate(path):
    """What CloudFormation makes of the SAM template when it is deployed."""
    # Its warnings are about switches of AWS's own deployments of the translator.
    logging.disable(logging.WARNING)
    try:
        validator = SamTemplateValidator(packaged(read(path)), NoManagedPolicies())
        return yaml_parse(validator.get_translated_template_if_valid())
    except InvalidSamDocumentException as error:
        sys.exit(f"{path}: {error}")


def parameters(**more):
    """Command-line arguments that set the stack's parameters."""
    pairs = {**PARAMETERS, **more}
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in pairs.items())]


def take_out(template, known):
    """Takes all resources out that are not `known`, and returns their types, by logical id.

    What refers to them gets a text in their place; outputs that do are taken out as well.
    """
    resources = template["Resources"]
    gone = {name: it["Type"] for name, it in resources.items() if not known(it)}
    for name in gone:
        del resources[name]
    for name, resource in resources.items():
        depends = resource.pop("DependsOn", [])
        depends = [depends] if isinstance(depends, str) else depends
        if kept := [other for other in depends if other not in gone]:
            resource["DependsOn"] = kept
        # How CodeDeploy shifts an alias' traffic; it names an application and a group.
        if refers(resource.get("UpdatePolicy"), gone):
            del resource["UpdatePolicy"]
        resources[name] = without(resource, gone)
    outputs = template.get("Outputs", {})
    template["Outputs"] = {key: it for key, it in outputs.items() if not refers(it, gone)}
    return gone


def refers(node, gone):
    return without(node, gone) != node


def without(node, gone):
    """The same, with a text in place of each reference to what is gone."""
    if isinstance(node, list):
        return [without(it, gone) for it in node]
    if isinstance(node, str):
        # Inside Fn::Sub.
        return re.sub(r"\$\{(\w+)[.\w]*\}", lambda it: text(it[1], it[0], gone), node)
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        [(key, value)] = node.items()
        name = value[0] if isinstance(value, list) and value else value
        if key in ("Ref", "Fn::GetAtt") and isinstance(name, str):
            return text(name.split(".")[0], node, gone)
    return {key: without(value, gone) for key, value in node.items()}


def text(name, otherwise, gone):
    return f"{name}-taken-out" if name in gone else otherwise
