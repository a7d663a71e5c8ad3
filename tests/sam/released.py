"""Deploys a release's archive to an emulator of AWS without Rust, and plays an event there.

Started by tests/sam/released, with the folder of the unpacked archive.
"""

import base64
import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import boto3

import deployment
import template
from deployment import check, say
from template import ROOT

STACK = "supervisor-router-released"
BUCKET = "released"
EVENT = deployment.EVENTS / "general.json"
SANDBOX = ROOT / "target" / "debug" / "sandbox"


def main():
    folder = Path(sys.argv[1])
    base = deployment.free_ports(4)
    emulator, agents = base, base + 1
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{emulator}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    with no_rust(), deployment.ministack(emulator, agents):
        for program in ("cargo", "rustc"):
            check(shutil.which(program) is None, f"there is no {program} on the path")
        package(folder)

        reduced = deployment.reduce_template(folder, "bootstrap.zip")
        say("sam deploy, of what the emulator knows of the archive")
        deployment.deploy(reduced, STACK)
        stack = deployment.Stack(STACK)
        code = boto3.client("lambda").get_function(FunctionName=stack.alias)["Configuration"]["CodeSha256"]
        built = hashlib.sha256((folder / "bootstrap.zip").read_bytes()).digest()
        check(base64.b64decode(code) == built, "the function's code is bootstrap.zip")
        deployment.play(stack, emulator, agents, [EVENT], sandbox=[SANDBOX])


def package(folder):
    """The first half of `sam deploy`, with the archive's template as it is: everything goes to a bucket."""
    say("sam package, of the whole archive")
    buckets = boto3.client("s3")
    buckets.create_bucket(Bucket=BUCKET)
    packaged = folder / "packaged.yaml"
    deployment.sam("package", "--s3-bucket", BUCKET, "--output-template-file", packaged, folder=folder)
    code = template.read(packaged)["Resources"][template.FUNCTION]["Properties"]["CodeUri"]
    there = buckets.get_object(Bucket=BUCKET, Key=code.removeprefix(f"s3://{BUCKET}/"))["Body"].read()
    check(there == (folder / "bootstrap.zip").read_bytes(), "what is uploaded is bootstrap.zip")
    # Nobody has to, and whoever is used to it may.
    deployment.sam("build", folder=folder)
    check(not (folder / ".aws-sam" / "build" / template.FUNCTION).exists(), "sam build builds nothing")


@contextmanager
def no_rust():
    """A path without programs of Rust; what else is in their folders stays."""
    path, folders = os.environ["PATH"], []
    with tempfile.TemporaryDirectory() as others:
        for number, folder in enumerate(map(Path, path.split(os.pathsep))):
            if any((folder / name).exists() for name in ("cargo", "rustc")):
                left = Path(others, str(number))
                left.mkdir()
                for one in folder.iterdir():
                    if not one.name.startswith(("cargo", "rust")):
                        (left / one.name).symlink_to(one)
                folder = left
            folders.append(str(folder))
        os.environ["PATH"] = os.pathsep.join(folders)
        try:
            yield
        finally:
            os.environ["PATH"] = path


main()
