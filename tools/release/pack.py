"""Packs a release, with the same bytes whenever and wherever it is done.

pack.py bootstrap BINARY ZIP
    Lambda's package: the binary as `bootstrap`.
pack.py archive ARCHITECTURE FOLDER ZIP
    What it takes to deploy without Rust: the template with the functions' code beside it (FOLDER has it, each
    of CODE as NAME-ARCHITECTURE.zip), what is nested in it, the settings of sam, the events, the policy and
    the documentation.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Nothing is compressed: two versions of zlib make different bytes of the same.
STORED = zipfile.ZIP_STORED
EPOCH = (1980, 1, 1, 0, 0, 0)

# What an archive holds of the repository, as git lists it.
WHOLE = ("stacks", "events", "docs", "functions/supervisor-router/routing.toml")
WHOLE += ("samconfig.toml", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE")

# The code of the functions, by the names of an archive's files without their ending.
CODE = ("bootstrap", "escalation-desk", "front-door", "routing-gate")

# What is another in an archive's templates than in the repository's: what is named first stands there once.
OF_ARCHITECTURE = {
    # What is built for one architecture does not start on the other.
    """\
    Default: arm64
    AllowedValues: [arm64, x86_64]
""": """\
    Default: {architecture}
    AllowedValues: [{architecture}]
""",
}


def nested(name):
    """The same of a nested stack, whose function's code has this name."""
    workspace = """\
      # The workspace, as in template.yaml.
      Code: ..
"""
    built = f"""\
      # Built already, as in template.yaml.
      Code: ../{name}.zip
"""
    return {workspace: built}


OF_ROUTER = {
    # `sam build` writes such a path as well, in its copy of the template.
    """\
      # The workspace, not the function's folder: all functions share one build of the SDK.
      CodeUri: .
""": """\
      # Built already: `sam build` leaves it alone, `sam deploy` uploads it.
      CodeUri: bootstrap.zip
""",
}
CHANGES = {
    "template.yaml": OF_ROUTER | OF_ARCHITECTURE,
    "stacks/escalations.yaml": nested("escalation-desk"),
    "stacks/front-door.yaml": nested("front-door"),
    "stacks/routing-gate.yaml": nested("routing-gate"),
}


def add(archive, name, content, mode):
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3  # Unix, whose modes Lambda looks at.
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = STORED
    archive.writestr(entry, content)


def bootstrap(binary, file):
    with zipfile.ZipFile(file, "w") as archive:
        add(archive, "bootstrap", Path(binary).read_bytes(), 0o755)


def template(name, architecture):
    text = (ROOT / name).read_text(encoding="utf-8")
    for old, new in CHANGES[name].items():
        if text.count(old) != 1:
            sys.exit(f"{name} has this {text.count(old)} times, and must have it once:\n{old}")
        text = text.replace(old, new.format(architecture=architecture))
    return text


def archive(architecture, packages, file):
    listed = subprocess.check_output(["git", "ls-files", "-z", *WHOLE], cwd=ROOT, text=True)
    # All in one folder, with the archive's name.
    folder = Path(file).stem
    with zipfile.ZipFile(file, "w") as packed:
        for name in CODE:
            package = Path(packages, f"{name}-{architecture}.zip")
            add(packed, f"{folder}/{name}.zip", package.read_bytes(), 0o644)
        for name in CHANGES:
            add(packed, f"{folder}/{name}", template(name, architecture), 0o644)
        for name in sorted(set(filter(None, listed.split("\0"))) - set(CHANGES)):
            add(packed, f"{folder}/{name}", (ROOT / name).read_bytes(), 0o644)


def main():
    match sys.argv[1:]:
        case ["bootstrap", binary, file]:
            bootstrap(binary, file)
        case ["archive", ("arm64" | "x86_64") as architecture, packages, file]:
            archive(architecture, packages, file)
        case _:
            sys.exit(__doc__)


main()
