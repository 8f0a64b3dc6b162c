"""The same files are read from a working tree, from a commit, and from a bare clone."""

from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from lineage.proof.history import uncommitted
from lineage.record.errors import AuditError
from lineage.record.tree import Commit, Objects, Tree, WorkTree, checkout, open_tree


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: `a/one.txt` changes between them, `two.txt` does not."""
    folder = tmp_path / "repository"
    folder.mkdir()
    succeed(["git", "init", "--quiet", "--initial-branch", "main"], folder)
    succeed(["git", "config", "user.email", "test@example.com"], folder)
    succeed(["git", "config", "user.name", "Test"], folder)
    (folder / "a").mkdir()
    (folder / ".gitignore").write_text("*.tmp\n")
    (folder / "two.txt").write_text("two")
    for text in ("old", "new"):
        (folder / "a" / "one.txt").write_text(text)
        succeed(["git", "add", "--all"], folder)
        succeed(["git", "commit", "--quiet", "--message", text], folder)
    return folder


def bare(repository: Path) -> Path:
    """A bare clone."""
    clone = repository.parent / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(repository), str(clone)], repository)
    return clone


def test_a_working_tree_is_read_as_it_lies(repository: Path) -> None:
    (repository / "a" / "one.txt").write_text("edited")
    (repository / "two.txt").unlink()
    (repository / "three.txt").write_text("not in git yet")
    (repository / "four.tmp").write_text("ignored")
    tree = open_tree(repository)
    assert tree.root == repository
    assert tree.read("a/one.txt") == b"edited"
    assert tree.read("four.tmp") == b"ignored"
    assert tree.paths() == [".gitignore", "a/one.txt", "three.txt"]
    assert tree.paths("a/") == ["a/one.txt"]
    with pytest.raises(FileNotFoundError):
        tree.read("two.txt")


def test_a_working_tree_is_found_from_a_folder_in_it(repository: Path) -> None:
    assert open_tree(repository / "a").root == repository
    assert open_tree(repository / "a").read("two.txt") == b"two"


def test_a_commit_is_read_whatever_lies_in_the_working_tree(repository: Path) -> None:
    (repository / "a" / "one.txt").write_text("edited")
    old, new = open_tree(repository, "HEAD~1"), open_tree(repository, "main")
    assert (old.read("a/one.txt"), new.read("a/one.txt")) == (b"old", b"new")
    assert old.root is None
    assert old.commit == succeed(["git", "rev-parse", "HEAD~1"], repository).strip()
    assert old.paths() == [".gitignore", "a/one.txt", "two.txt"]


def test_a_bare_clone_is_read_at_its_head(repository: Path) -> None:
    clone = bare(repository)
    tree = open_tree(clone)
    assert isinstance(tree, Commit)
    assert tree.read("a/one.txt") == b"new"
    assert tree.paths("a/") == ["a/one.txt"]
    assert open_tree(clone, "HEAD~1").read("a/one.txt") == b"old"
    assert checkout(clone) is None
    assert checkout(repository / "a") == repository


@pytest.mark.parametrize("path", ["a", "missing.txt", "a/missing.txt"])
def test_a_commit_has_no_such_file(repository: Path, path: str) -> None:
    tree = open_tree(repository, "HEAD")
    with pytest.raises(FileNotFoundError):
        tree.read(path)
    assert tree.read("two.txt") == b"two"  # the process that was asked in vain still answers


def test_names_of_git_are_equal_where_bytes_are(repository: Path) -> None:
    objects = Objects(repository)
    assert objects.name("HEAD", "two.txt") == objects.name("HEAD~1", "two.txt") is not None
    assert objects.name("HEAD", "a") != objects.name("HEAD~1", "a")
    assert objects.name("HEAD", "missing") is None


@pytest.mark.parametrize("revision", ["nowhere", "--help", "HEAD:two.txt"])
def test_an_unknown_revision_is_named(repository: Path, revision: str) -> None:
    with pytest.raises(AuditError, match="rev-parse"):
        open_tree(repository, revision)


def test_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="not a git repository"):
        open_tree(tmp_path)
    with pytest.raises(AuditError, match="is no folder"):
        open_tree(tmp_path / "missing")


def test_a_repository_without_a_commit_is_said_to_have_none(tmp_path: Path) -> None:
    succeed(["git", "init", "--quiet"], tmp_path)
    with pytest.raises(AuditError, match="HEAD"):
        open_tree(tmp_path)


def test_both_trees_list_the_same_files(audited: Path) -> None:
    trees: list[Tree] = [WorkTree(audited), Commit(audited, "HEAD")]
    assert trees[0].paths() == trees[1].paths() != []
    assert trees[0].read("dvc.lock") == trees[1].read("dvc.lock")


def test_what_git_sets_for_a_hook_changes_no_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed(["git", "init", "--quiet", "elsewhere"], tmp_path)
    expected = open_tree(repository).commit
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    tree = open_tree(repository)
    assert (tree.root, tree.commit) == (repository, expected)
    assert tree.paths() == [".gitignore", "a/one.txt", "two.txt"]
    assert open_tree(repository, "HEAD").read("two.txt") == b"two"


def test_what_a_sparse_checkout_leaves_out_is_read_from_git(repository: Path) -> None:
    succeed(["git", "sparse-checkout", "set", "--no-cone", "/two.txt"], repository)
    assert not (repository / "a").exists()
    tree = open_tree(repository)
    assert tree.read("a/one.txt") == b"new"
    assert tree.paths() == [".gitignore", "a/one.txt", "two.txt"]
    assert uncommitted(tree) == []
    (repository / "two.txt").unlink()
    assert uncommitted(open_tree(repository)) == ["two.txt"]
