"""The audit: where a policy and its data came from, by git, dvc.lock and the tables. Needs neither DVC nor torch."""
