"""Lists what AWS makes of the template for a value of CreateAgents, for a reviewer: each resource with
its type, in the stack that it is in.

Reads template.yaml as SAM translates it (named on the command line) and the stacks nested in it.
"""

import sys
from collections import Counter

from template import ROOT, read
from tree import holds, resolved


def made(template, given):
    """The resources that there are, by logical id, and those of nested stacks within them."""
    for name, resource in template["Resources"].items():
        if not holds(resource.get("Condition", {"Fn::And": []}), template, **given):
            continue
        yield name, resource["Type"]
        if resource["Type"] == "AWS::CloudFormation::Stack":
            properties = resource["Properties"]
            # A nested stack names its own from its folder on.
            file = ROOT / "stacks" / properties["TemplateURL"].removeprefix("stacks/")
            # What only a deployment knows is not asked for.
            handed = resolved(properties["Parameters"], template, **given)
            handed = {key: value for key, value in handed.items() if isinstance(value, str)}
            for inner, kind in made(read(file), handed):
                yield f"{name}.{inner}", kind


def main():
    translated, kind = read(sys.argv[1]), sys.argv[2]
    # The translator has put packaged places in; the source has the files.
    for name, resource in read(ROOT / "template.yaml")["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            translated["Resources"][name]["Properties"]["TemplateURL"] = resource["Properties"]["TemplateURL"]
    found = list(made(translated, {"CreateAgents": kind}))
    for name, type_ in found:
        print(f"  {name:<40} {type_}")
    counted = sorted(Counter(type_ for _, type_ in found).items())
    print("  " + ", ".join(f"{count} {type_.removeprefix('AWS::')}" for type_, count in counted))


main()
