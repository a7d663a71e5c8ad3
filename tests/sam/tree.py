"""Walks through templates, and works out what they say for given parameters."""


def values(node, key):
    """All values under a key, however deep."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and key in node:
        yield node[key]
    for child in children:
        yield from values(child, key)


def texts(node):
    if isinstance(node, str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from texts(child)


def as_list(node):
    return node if isinstance(node, list) else [node]


def resources(template, kind):
    """The properties of all resources of a type, by logical id."""
    found = template["Resources"].items()
    return {name: one.get("Properties", {}) for name, one in found if one["Type"] == kind}


def resolved(node, template, **given):
    """The same for these values of parameters: conditions decided, parameters and mappings looked up.

    A parameter that is not given has its default. What only a deployment knows stays as it is.
    """
    if isinstance(node, list):
        return [resolved(one, template, **given) for one in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        [(function, argument)] = node.items()
        if function == "Fn::If":
            condition, yes, no = argument
            return resolved(yes if holds(condition, template, **given) else no, template, **given)
        if function == "Ref" and argument in template["Parameters"]:
            return given.get(argument, template["Parameters"][argument].get("Default", node))
        if function == "Fn::Join":
            separator, parts = resolved(argument, template, **given)
            known = all(isinstance(one, str) for one in parts)
            return separator.join(parts) if known else {function: [separator, parts]}
        if function == "Fn::Split":
            separator, text = resolved(argument, template, **given)
            return text.split(separator) if isinstance(text, str) else {function: [separator, text]}
        if function == "Fn::FindInMap":
            names = resolved(argument, template, **given)
            return template["Mappings"][names[0]][names[1]][names[2]]
    return {key: resolved(one, template, **given) for key, one in node.items()}


def holds(condition, template, **given):
    """Whether a condition, or the name of one, is true for these values of parameters."""
    if isinstance(condition, str):
        return holds(template["Conditions"][condition], template, **given)
    [(function, argument)] = condition.items()
    if function == "Condition":
        return holds(argument, template, **given)
    if function == "Fn::Equals":
        one, other = resolved(argument, template, **given)
        return one == other
    outcomes = [holds(one, template, **given) for one in argument]
    if function == "Fn::Not":
        return not outcomes[0]
    return all(outcomes) if function == "Fn::And" else any(outcomes)
