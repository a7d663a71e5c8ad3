"""Prints the CloudFormation template that a SAM template becomes when it is deployed."""

import logging
import sys

from samcli.commands.validate.lib.exceptions import InvalidSamDocumentException
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse


class NoManagedPolicies:
    """SAM looks up managed policies by name in an account; the template names none."""

    def load(self):
        return {}


def packaged(template):
    """The template with nested stacks where `sam package` puts them, in a bucket."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://s3.amazonaws.com/bucket/nested.template"
    return template


# Its warnings are about switches of AWS's own deployments of the translator.
logging.disable(logging.WARNING)

with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())

try:
    print(SamTemplateValidator(packaged(template), NoManagedPolicies()).get_translated_template_if_valid())
except InvalidSamDocumentException as error:
    sys.exit(f"{sys.argv[1]}: {error}")
