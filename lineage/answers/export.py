"""A policy's lineage as OpenLineage, CycloneDX ML-BOM, Croissant and Hugging Face model card."""

from pathlib import Path

from lineage.answers.exports import croissant, ml_bom, model_card, openlineage
from lineage.answers.exports.origin import Origin
from lineage.record.audit import Audit
from lineage.record.errors import AuditError

FILES = {
    "openlineage.jsonl": openlineage.write,
    "ml-bom.cdx.json": ml_bom.write,
    "croissant.json": croissant.write,
    "README.md": model_card.write,
}


def export(audit: Audit, policy: str, folder: Path) -> list[Path]:
    """Write the four files, the same bytes whenever and wherever they are written; where they are.

    Raises:
        AuditError: bytes that the policy came from are nowhere, or the folder cannot be written.
    """
    origin = Origin(audit, policy)
    texts = {name: write(origin) for name, write in FILES.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise AuditError(f"{folder} cannot be written: {error.strerror or error}") from None
    return [folder / name for name in texts]
