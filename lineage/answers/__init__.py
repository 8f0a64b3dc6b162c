"""The questions asked of a policy, each answered from the record and the data."""
