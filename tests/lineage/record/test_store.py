"""Bytes by their digest, from the nearest place where they are the right ones."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from lineage.record.audit import open_audit
from lineage.record.errors import AuditError
from lineage.record.graph import policy_file
from lineage.record.lock import File
from lineage.record.store import Store, folder_list, folder_members, open_store, read_config
from lineage.record.tree import open_tree
from tests.lineage import chain

CONTENT, OTHER = b"the right bytes", b"the other bytes"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


FILE = File("data/table.parquet", md5(CONTENT), len(CONTENT))
FOLDER_LIST = json.dumps([{"md5": md5(CONTENT), "relpath": "a/b.json"}]).encode()
FOLDER = File("data/folder", f"{md5(FOLDER_LIST)}.dir", len(CONTENT))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout without data."""
    folder = tmp_path / "repository"
    chain.write(
        folder,
        {},
        files={
            ".dvc/config": "",
            "data/.gitignore": "*.parquet\nfolder/\n",
            ".gitignore": "/.dvc/cache\n",
        },
    )
    return folder


def keep(place: Path, content: bytes, name: str) -> Path:
    """Put bytes where a cache or a remote has those of this name."""
    path = place / "files" / "md5" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def lay(repository: Path, path: str, content: bytes) -> None:
    """Put bytes into the working tree."""
    (repository / path).parent.mkdir(parents=True, exist_ok=True)
    (repository / path).write_bytes(content)


def read(store: Store, file: File, name: str = "") -> bytes:
    with store.open(file, name) as stream:
        return stream.read()


def test_the_working_tree_comes_first(repository: Path) -> None:
    lay(repository, FILE.path, CONTENT)
    assert read(open_store(open_tree(repository)), FILE) == CONTENT


def test_an_edited_file_is_passed_by_for_the_cache(repository: Path) -> None:
    lay(repository, FILE.path, OTHER)  # of the same size
    keep(repository / ".dvc" / "cache", CONTENT, FILE.md5)
    assert read(open_store(open_tree(repository)), FILE) == CONTENT


def test_a_swapped_object_is_passed_by_for_the_remote(repository: Path, tmp_path: Path) -> None:
    keep(repository / ".dvc" / "cache", OTHER, FILE.md5)
    keep(tmp_path / "remote", CONTENT, FILE.md5)
    assert (
        read(open_store(open_tree(repository), None, {"r": str(tmp_path / "remote")}), FILE)
        == CONTENT
    )


def test_wrong_bytes_everywhere_are_refused(repository: Path, tmp_path: Path) -> None:
    lay(repository, FILE.path, OTHER)
    keep(repository / ".dvc" / "cache", OTHER, FILE.md5)
    keep(tmp_path / "remote", OTHER, FILE.md5)
    store = open_store(open_tree(repository), None, {"r": str(tmp_path / "remote")})
    with pytest.raises(
        AuditError, match="are not in the working tree, cache, remote r; `dvc pull`"
    ):
        read(store, FILE)


def test_a_file_of_a_folder_is_found_by_the_folders_list(repository: Path) -> None:
    cache = repository / ".dvc" / "cache"
    keep(cache, FOLDER_LIST, FOLDER.md5)
    keep(cache, CONTENT, md5(CONTENT))
    store = open_store(open_tree(repository))
    assert [member.name for member in store.members(FOLDER)] == ["a/b.json"]
    assert read(store, FOLDER, "a/b.json") == CONTENT
    with pytest.raises(AuditError, match="data/folder has no file missing"):
        store.open(FOLDER, "missing")


def test_a_folder_in_the_working_tree_needs_no_list(repository: Path) -> None:
    lay(repository, "data/folder/a/b.json", CONTENT)
    store = open_store(open_tree(repository))
    assert read(store, FOLDER, "a/b.json") == CONTENT
    lay(repository, "data/folder/added.json", b"")
    with pytest.raises(AuditError, match="are not in the working tree, cache"):
        store.members(FOLDER)


def test_a_list_that_was_edited_is_refused(repository: Path) -> None:
    keep(repository / ".dvc" / "cache", FOLDER_LIST.replace(b"b.json", b"c.json"), FOLDER.md5)
    with pytest.raises(AuditError, match="data/folder"):
        open_store(open_tree(repository)).members(FOLDER)


def test_a_commit_is_not_answered_from_the_working_tree(repository: Path) -> None:
    lay(repository, FILE.path, CONTENT)
    store = open_store(open_tree(repository, "HEAD"))
    with pytest.raises(AuditError, match="are not in cache"):
        read(store, FILE)
    keep(repository / ".dvc" / "cache", CONTENT, FILE.md5)
    assert read(store, FILE) == CONTENT


def test_what_git_keeps_is_read_from_the_commit(repository: Path) -> None:
    chain.write(repository, {}, files={"data/metrics/a.json": "{}"})
    lay(repository, "data/metrics/a.json", b"[]")
    file = File("data/metrics/a.json", md5(b"{}"), 2)
    assert read(open_store(open_tree(repository, "HEAD")), file) == b"{}"


def test_places_of_the_configuration(repository: Path, tmp_path: Path) -> None:
    """As `dvc remote add` and `dvc cache dir` write it; a path counts from `.dvc`."""
    (repository / ".dvc" / "config").write_text(
        "[core]\n    remote = near\n"
        "['remote \"near\"']\n    url = ../../near\n"
        "['remote \"far\"']\n    url = /far\n"
    )
    (repository / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {tmp_path / 'shared'}\n")
    tree = open_tree(repository)
    assert read_config(tree, tree.root)["core"] == {"remote": "near"}
    keep(tmp_path / "near", CONTENT, FILE.md5)
    store = open_store(tree)
    assert [place.name for place in store.places] == ["cache", "remote near", "remote far"]
    assert read(store, FILE) == CONTENT
    keep(tmp_path / "shared", CONTENT, FILE.md5)
    assert store.places[0].has(FILE.md5)


def test_a_bare_clone_knows_only_full_addresses(repository: Path, tmp_path: Path) -> None:
    config = "['remote \"near\"']\n    url = ../../near\n['remote \"far\"']\n    url = /far\n"
    chain.write(repository, {}, files={".dvc/config": config})
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(repository), str(clone)], tmp_path)
    assert [place.name for place in open_store(open_tree(clone)).places] == ["remote far"]
    keep(tmp_path / "given", CONTENT, FILE.md5)
    assert read(open_store(open_tree(clone), str(tmp_path / "given")), FILE) == CONTENT


def test_an_address_of_no_known_kind_is_refused(repository: Path) -> None:
    with pytest.raises(AuditError, match="remote r: gopher://host"):
        open_store(open_tree(repository), None, {"r": "gopher://host"})


def test_a_policy_of_dvc_is_read_from_cache_alone(audited: Path, tmp_path: Path) -> None:
    """By DVC's names: a policy's folder has the digest of its list, in cache and tree."""
    audit = open_audit(audited, None)
    policy = policy_file(audit.graph.policy("s1"))
    laid = folder_members(audit.tree, policy.path)
    assert laid is not None
    assert f"{md5(folder_list(laid))}.dir" == policy.md5
    clone = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(audited), str(clone)], tmp_path)
    store = open_store(open_tree(clone), str(audited / ".dvc" / "cache"))
    assert store.members(policy) == laid
    weights = (audited / policy.path / "model.safetensors").read_bytes()
    assert read(store, policy, "model.safetensors") == weights


def test_a_file_gone_is_read_from_the_cache(copy: Path) -> None:
    audit = open_audit(copy, None)
    demos = audit.graph.steps["demonstrate@r0"].written("demos")
    assert demos is not None
    before = [part.read() for part in audit.store.parts(demos)]
    shutil.rmtree(copy / demos.path)
    assert [part.read() for part in audit.store.parts(demos)] == before
    shutil.rmtree(copy / ".dvc" / "cache")
    with pytest.raises(AuditError, match=demos.path):
        list(audit.store.parts(demos))


@pytest.mark.parametrize("variable", ["DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"])
def test_the_users_and_the_machines_settings_are_read_as_dvc_reads_them(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "config").write_text(
        "[cache]\n    dir = shared\n['remote \"far\"']\n    url = s3://bucket/x\n"
    )
    monkeypatch.setenv(variable, str(tmp_path))
    keep(tmp_path / "shared", CONTENT, FILE.md5)
    assert open_store(open_tree(repository)).open(FILE).read() == CONTENT
    assert read_config(open_tree(repository), repository)["remote far"]["url"] == "s3://bucket/x"
    (repository / ".dvc/config").write_text("[cache]\n    dir = ../own\n")
    with pytest.raises(AuditError, match="are not in the working tree, cache"):
        open_store(open_tree(repository)).open(FILE)


def test_the_users_settings_lie_where_xdg_says(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DVC_GLOBAL_CONFIG_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc/config").write_text(f"[cache]\n    dir = {tmp_path}/mine\n")
    assert read_config(open_tree(repository), repository)["cache"]["dir"] == f"{tmp_path}/mine"
