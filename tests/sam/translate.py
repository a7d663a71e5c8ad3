"""Prints the CloudFormation template that a SAM template becomes when it is deployed."""

import sys

from samcli.commands.validate.lib.exceptions import InvalidSamDocumentException
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse


class NoManagedPolicies:
    """SAM looks up managed policies by name in an account; the template names none."""

    def load(self):
        return {}


with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())

try:
    print(SamTemplateValidator(template, NoManagedPolicies()).get_translated_template_if_valid())
except InvalidSamDocumentException as error:
    sys.exit(f"{sys.argv[1]}: {error}")
