"""How params.yaml pins a file from outside: by the digest of its bytes."""

from typing import Annotated

from pydantic import Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
