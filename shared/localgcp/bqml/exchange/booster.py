"""A tree model as XGBoost's Booster with the files that say how to make its input from columns.

From the documentation of model export and from Google's predictor library: the files model.bst, main.py,
xgboost_predictor-0.1.tar.gz with predictor.py, assets/model_metadata.json with model_type, label_col, class_names,
feature_names and the features' encode_type, and vocabularies named `<feature number>_<encode_type>.txt` whose line
number is the code; no feature names in the Booster. Ours: the service writes XGBoost 0.82's own format, which today's
XGBoost has dropped, and here model.bst is UBJSON; our predictor.py is written for this export (`null_value` in the
metadata is what NULL becomes, and an unseen category is encoded as ML.PREDICT does it).
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from localgcp.bqml.columns import texts
from localgcp.bqml.encode import Category, Label, Number, Target
from localgcp.bqml.errors import unimplemented
from localgcp.bqml.exchange.graph import Input, inputs_of
from localgcp.bqml.models.trees import BoostedTreeClassifier, BoostedTreeRegressor

STANDALONE = Path(__file__).parent / "standalone"
# Line 0 of a label vocabulary: what NULL and the unseen are encoded as.
UNSEEN = "_null_filler"


def write_booster(
    model: BoostedTreeClassifier | BoostedTreeRegressor, rows: pa.Table, model_type: str, folder: Path
) -> None:
    """Writes the files; `rows` has the features with their types. Raises BadRequest for what cannot be exported."""
    inputs = inputs_of(model.encoder, rows)
    assets = folder / "assets"
    assets.mkdir(parents=True)
    metadata: dict[str, Any] = {
        "model_type": model_type.lower(),
        "label_col": model.label,
        "feature_names": [one.name for one in inputs],
        "features": {one.name: _write_feature(number, one, assets) for number, one in enumerate(inputs)},
    }
    if isinstance(model, BoostedTreeClassifier):
        metadata["class_names"] = texts(model.classes).to_pylist()
    (assets / "model_metadata.json").write_text(json.dumps(metadata, indent=1), encoding="utf-8")
    (folder / "model.bst").write_bytes(model.forest.raw)
    shutil.copyfile(STANDALONE / "main.py", folder / "main.py")
    (folder / "xgboost_predictor-0.1.tar.gz").write_bytes(_package())


def _write_feature(number: int, one: Input, assets: Path) -> dict[str, Any]:
    """Metadata of a feature; its vocabulary becomes a file."""
    block = one.block
    if isinstance(block, Number):
        return {"encode_type": "numerical_identity", "null_value": block.mean}
    if isinstance(block, Label):
        lines, kind = [UNSEEN, *block.categories], "categorical_label"
    elif isinstance(block, Category):
        lines, kind = list(block.categories), "categorical_one_hot"
    elif isinstance(block, Target):
        # As JSON, so that a category may hold any character.
        content = {"means": dict(zip(block.categories, block.means)), "unseen": block.overall}
        (assets / f"{number}_categorical_target.txt").write_text(json.dumps(content), encoding="utf-8")
        return {"encode_type": "categorical_target"}
    else:
        raise unimplemented(f"EXPORT MODEL with feature {one.name} ({type(block).__name__} encoding)")
    if any(len(line.splitlines()) > 1 or line.endswith(("\n", "\r")) for line in lines):
        raise unimplemented(f"EXPORT MODEL with feature {one.name}, whose categories have line breaks,")
    text = "".join(line + "\n" for line in lines)
    (assets / f"{number}_{kind}.txt").write_text(text, encoding="utf-8", newline="\n")
    return {"encode_type": kind}


def _package() -> bytes:
    """xgboost_predictor-0.1.tar.gz, the same bytes each time."""
    content = (STANDALONE / "predictor.py").read_bytes()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("xgboost_predictor-0.1/predictor.py")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()
