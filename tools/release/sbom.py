"""Takes out of cargo-cyclonedx's list what is not in the function, and the folder it was made in.

sbom.py LIST OUTPUT

cargo-cyclonedx knows the features that the whole workspace with its tests asks for, and lists macros, which run
in the compiler. What is built is what `cargo tree` says, for both architectures: it has to be in the list.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu")


def built(target):
    """The names and versions of the crates in the function."""
    command = ["cargo", "tree", "--locked", "--package", "supervisor-router", "--edges", "normal,no-proc-macro"]
    command += ["--target", target, "--prefix", "none", "--no-dedupe", "--format", "{p}"]
    lines = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    return {tuple(line.split()[:2]) for line in lines}


def crate(component):
    return component["name"], f"v{component['version']}"


def main():
    listed, output = map(Path, sys.argv[1:])
    sbom = json.loads(listed.read_text(encoding="utf-8").replace(f"file://{ROOT}/", "file:///"))
    there, other = map(built, TARGETS)
    if there != other:
        sys.exit(f"the architectures' crates differ, and there is one list: {sorted(there ^ other)}")
    root = sbom["metadata"]["component"]
    sbom["components"] = [one for one in sbom["components"] if crate(one) in there]
    missing = there - {crate(one) for one in [root, *sbom["components"]]}
    if missing:
        sys.exit(f"the list lacks {sorted(missing)}")
    kept = {one["bom-ref"] for one in [root, *sbom["components"]]}
    sbom["dependencies"] = [
        {**one, "dependsOn": [ref for ref in one.get("dependsOn", []) if ref in kept]}
        for one in sbom["dependencies"]
        if one["ref"] in kept
    ]
    text = json.dumps(sbom, indent=2)
    if str(ROOT) in text:
        sys.exit(f"the list names {ROOT}, a folder of this machine")
    output.write_text(f"{text}\n", encoding="utf-8")
    print(f"{len(sbom['components'])} crates are in the function")


main()
