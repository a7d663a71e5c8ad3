"""What the static checks found, and how they look for it."""

problems = []


def expect(holds, problem):
    if not holds:
        problems.append(problem)


def expect_equal(found, expected, what):
    for name in sorted(set(found) - set(expected)):
        problems.append(f"{what}: {name} is too many")
    for name in sorted(set(expected) - set(found)):
        problems.append(f"{what}: {name} is missing")
