"""Model folders as design.md describes them, written without the code under test."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_model(
    folder, weights, bias, entities, *, loss="logistic", n_experts=2, n_files=1, **changes
):
    """Model of ``weights`` (R, E, D) and ``bias`` (R, E); ``changes`` go into model.json."""
    (folder / "entities").mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(np.arange(len(entities)), n_files)):
        table = pa.table(
            {
                "entity": pa.array([entities[i] for i in part], pa.int32()),
                "loss": [loss] * len(part),
                "weights": [weights[:, i].astype("<f4").tobytes() for i in part],
                "bias": pa.array([bias[:, i].tolist() for i in part], pa.list_(pa.float32())),
                "n_positives": pa.array([1] * len(part), pa.int64()),
            }
        )
        pq.write_table(table, folder / "entities" / f"block-{number:05d}.parquet")
    described = {
        "loss": loss,
        "n_experts": n_experts,
        "n_features": weights.shape[2],
        "n_entities": len(entities),
    }
    (folder / "model.json").write_text(json.dumps(described | changes))
    return str(folder)


def random_model(n_rows, n_entities, n_features, seed=0):
    """Weights (R, E, D) and biases (R, E) of float32."""
    rng = np.random.default_rng([seed, n_rows, n_entities, n_features])
    weights = rng.normal(size=(n_rows, n_entities, n_features)).astype(np.float32)
    return weights, rng.normal(size=(n_rows, n_entities)).astype(np.float32)


def probabilities(features, weights, bias, loss):
    """Scores (B, E), in float64 by the formulas of the paper (§4.3)."""
    z = np.einsum("bd,red->bre", features.astype(np.float64), weights.astype(np.float64)) + bias
    if loss != "moe":
        return 1 / (1 + np.exp(-z[:, 0]))
    half = z.shape[1] // 2
    gates = np.exp(z[:, :half])
    experts = 1 / (1 + np.exp(-z[:, half:]))
    return (gates * experts).sum(axis=1) / (gates.sum(axis=1) + 1)
