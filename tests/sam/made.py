"""Prints what AWS makes of the template for each value of `CreateAgents`, nested stacks and all.

For who reviews a deployment before there is one; the translated template is named on the command line.
"""

import sys
from collections import defaultdict

from template import ROOT, read
from tree import holds, resolved

KINDS = ["No", "AgentCore", "BedrockClassic"]


def made(template, folder, urls, path="", **given):
    """The types and paths of the resources, for these values of parameters.

    `urls` are the nested templates by logical id, from `folder` on.
    """
    for name, resource in template["Resources"].items():
        if "Condition" in resource and not holds(resource["Condition"], template, **given):
            continue
        yield resource["Type"], path + name
        if name in urls:
            file = folder / urls[name]
            inner = read(file)
            parameters = resolved(resource["Properties"]["Parameters"], template, **given)
            yield from made(inner, file.parent, nested(inner), f"{path}{name}/", **parameters)


def nested(template):
    stacks = template["Resources"].items()
    return {
        name: one["Properties"]["TemplateURL"] for name, one in stacks if one["Type"] == "AWS::CloudFormation::Stack"
    }


def made_with(kind, translated):
    """What is made with this value of `CreateAgents`, and nothing else given."""
    return list(made(translated, ROOT, nested(read(ROOT / "template.yaml")), CreateAgents=kind))


def show(found):
    paths = defaultdict(list)
    for kind, path in found:
        paths[kind].append(path)
    for kind, of in sorted(paths.items()):
        print(f"  {len(of):3} {kind}: {', '.join(sorted(of))}")


def main():
    translated = read(sys.argv[1])
    always = made_with("No", translated)
    for kind in KINDS:
        found = made_with(kind, translated)
        print(f"CreateAgents={kind}: {len(found)} resources{'' if found == always else ', those of No and'}")
        show(found if found == always else [one for one in found if one not in always])


if __name__ == "__main__":
    main()
