"""The audit: where a policy and its data came from, read without DVC or torch."""
