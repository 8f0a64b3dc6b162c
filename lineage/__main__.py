"""`python -m lineage`: the audit without the `knowhow` command."""

from lineage.cli import main

main()
