"""Prints the CloudFormation template that a SAM template becomes when it is deployed."""

import sys

from samcli.yamlhelper import yaml_dump

from template import translate

print(yaml_dump(translate(sys.argv[1])))
