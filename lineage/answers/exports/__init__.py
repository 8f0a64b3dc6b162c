"""A policy's lineage in the formats of others: one file each."""
