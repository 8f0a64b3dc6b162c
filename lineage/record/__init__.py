"""What is on record of a revision: git, dvc.lock, dvc.yaml, and where the bytes are."""
