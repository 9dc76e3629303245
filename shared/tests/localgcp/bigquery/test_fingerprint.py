"""FARM_FINGERPRINT against another implementation of FarmHash's Fingerprint64: TensorFlow's."""

from __future__ import annotations

import random

import tensorflow as tf
from localgcp.bigquery import Engine

# TensorFlow gives the fingerprint modulo a number of buckets.
BUCKETS = 2**63 - 1


def test_every_length_of_text_has_tensorflows_fingerprint() -> None:
    """FarmHash takes another way for each of a few ranges of lengths; the longest begins behind 64 bytes."""
    draw = random.Random(7)
    texts = ["".join(draw.choice("abcxyz 0189-é☃😀") for _ in range(length)) for length in range(300)]
    rows = ", ".join(f"'{text}'" for text in texts)
    engine = Engine(None, "local-project")
    found = engine.query(f"SELECT FARM_FINGERPRINT(t) AS f FROM UNNEST([{rows}]) AS t WITH OFFSET AS o ORDER BY o")
    wanted = tf.strings.to_hash_bucket_fast(tf.constant(texts), BUCKETS).numpy().tolist()
    assert [value % 2**64 % BUCKETS for value in found["f"].to_pylist()] == wanted
    engine.close()
