"""The log-probability of given targets, teacher forced."""

from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_s2s import checks
from keras_s2s.data import pad_rows
from keras_s2s.layers.carried_state import find_carriers
from keras_s2s.layers.decoder import attends
from keras_s2s.models.door import check_source_ids
from keras_s2s.models.door import check_sources
from keras_s2s.models.training import name_source

Tensor: TypeAlias = Any


class TokenScores(keras.layers.Layer):
    """The log-probability that logits give their labels.

    Call arguments:
        logits: float `(B, T, V)`.
        labels: int32 `(B, T)`.

    Returns:
        Float32 `(B, T)`, nats.
    """

    def call(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        found = ops.take_along_axis(log_probs, labels[:, :, None], axis=-1)
        return ops.squeeze(found, -1)


class AttendingDecoder(keras.layers.Layer):
    """A decoder that says where it looked.

    Args:
        decoder: built layer with `attended_features`.

    Call arguments:
        target_ids: int32 `(B, T)`, beginning with bos.
        memory: dict, what an encoder returns.

    Returns:
        Dict: `logits`, float `(B, T, V)`; `weights`, float `(B, T, S)`.
    """

    def __init__(self, decoder: Any) -> None:
        super().__init__(dtype=decoder.dtype_policy)
        self.decoder = decoder
        self.built = True

    def call(self, target_ids: Tensor, memory: dict) -> dict[str, Tensor]:
        found = self.decoder.attended_features(target_ids, memory, False)
        logits = self.decoder.project(found["features"])
        return {"logits": logits, "weights": found["weights"]}

    def compute_output_spec(self, target_ids: Any, memory: Any) -> dict:
        """Not from `call`, which Keras would try with any length it likes."""
        logits = self.decoder.compute_output_spec(
            target_ids, memory, training=False
        )
        shape = (*logits.shape[:2], memory["mask"].shape[1])
        weights = keras.KerasTensor(shape, dtype=self.compute_dtype)
        return {"logits": logits, "weights": weights}


def make_scorer(
    encoder: Any, decoder: Any, reads_alignments: bool = False
) -> keras.Model:
    """Returns a functional model: source, target_ids and labels to a dict.

    `token_scores`, float32 `(B, T)`, and where alignments are read,
    `weights`, float `(B, T, S)`, and `mask`, bool `(B, S)`.

    Raises:
        ValueError: alignments are read, and a decoder does not give them.
    """
    if reads_alignments and not attends(decoder):
        rule = (
            "one with `attended_features`, for scores with a `coverage_penalty`"
        )
        checks.fail("decoder", rule, type(decoder).__name__)
    source, target = encoder.make_input(), decoder.make_input()
    labels = keras.Input((None,), dtype="int32", name="labels")
    memory = encoder(source, training=False)
    if reads_alignments:
        found = AttendingDecoder(decoder)(target, memory)
        logits = found.pop("logits")
        found["mask"] = memory["mask"]
    else:
        logits, found = decoder(target, memory, training=False), {}
    found["token_scores"] = TokenScores()(logits, labels)
    name = name_source(encoder, source)
    inputs = {name: source, "target_ids": target, "labels": labels}
    return keras.Model(inputs, found)


def check_target_ids(
    target_ids: Any, count: int, decoder: Any, pad_id: int
) -> np.ndarray:
    """Returns targets as an int32 array `(B, T)`, or refuses them.

    Args:
        target_ids: int array `(B, T)`, or a list of lists of ids.
        count: int >= 0. B, how many sources there are.
        decoder: layer. Its `vocabulary_size` and `longest` count.
        pad_id: int. What stands behind the end of a target.

    Raises:
        ValueError: there are more or fewer than sources; one is empty, is
            longer than learned positions, or has an id that is not in the
            vocabulary.
    """
    if len(target_ids) != count:
        rule = f"one for each of {count} sources"
        checks.fail("target_ids", rule, f"{len(target_ids)} targets")
    size = getattr(decoder, "vocabulary_size", None)
    rows = checks.check_rows(target_ids, np.iinfo("int32").max)
    for index, row in enumerate(rows):
        while row and row[-1] == pad_id:
            row.pop()
        if not row:
            rule = "a target with at least one token that is not padding"
            checks.fail(f"target_ids[{index}]", rule, target_ids[index])
        if size is not None:
            checks.check_ids(f"target_ids[{index}]", row, size)
    padded = pad_rows(rows, pad_id)
    longest = getattr(decoder, "longest", None)
    if longest is not None:
        checks.check_length("target_ids", padded.shape[1], longest)
    return padded


def score_targets(
    inference: Any,
    source: Any,
    target_ids: Any,
    batch_size: int,
    verbose: Any,
) -> dict[str, np.ndarray]:
    """Returns what `InferenceModel.score` does."""
    checks.check_positive("batch_size", batch_size)
    encoder, decoder = inference.encoder, inference.decoder
    if find_carriers([encoder]):
        rule = "one that carries no state, to score pairs in any order"
        checks.fail("model", rule, encoder.name)
    source, widths = _check_source(source, encoder, decoder)
    pad_id = inference.pad_id
    labels = check_target_ids(target_ids, len(widths), decoder, pad_id)
    lengths = find_lengths(labels, pad_id)
    scores = np.zeros(labels.shape, "float32")
    last = np.take_along_axis(labels, lengths[:, None] - 1, axis=1)[:, 0]
    ranks = np.zeros(len(widths), "float32")
    scorer = inference.make_scorer()
    (name,) = set(scorer.input) - {"target_ids", "labels"}
    # The longest first: what does not fit into memory fails at once.
    order = np.lexsort((-widths, -lengths))
    verbose = {"auto": 1}.get(verbose, verbose)
    bar = keras.utils.Progbar(len(order), verbose=verbose)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        own = labels[rows, : lengths[rows].max()]
        targets = np.full_like(own, inference.bos_id)
        targets[:, 1:] = own[:, :-1]
        inputs = {
            name: keras.tree.map_structure(
                lambda one, rows=rows: one[rows, : widths[rows].max()], source
            ),
            "target_ids": targets,
            "labels": own,
        }
        found = scorer.predict_on_batch(inputs)
        is_there = np.arange(own.shape[1]) < lengths[rows, None]
        scores[rows, : own.shape[1]] = found["token_scores"] * is_there
        ranks[rows] = inference.search.rank(
            scores[rows].sum(axis=1),
            lengths[rows],
            last[rows] == inference.eos_id,
            **_read_attention(found, is_there),
        )
        bar.add(len(rows))
    return {"scores": ranks, "lengths": lengths, "token_scores": scores}


def _read_attention(
    found: dict[str, np.ndarray], is_there: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns what `rank` wants to know of it: `(B, S)`, of whole targets."""
    if "weights" not in found:
        return {}
    weights = found["weights"].astype("float32") * is_there[:, :, None]
    return {"attention": weights.sum(axis=1), "mask": found["mask"]}


def _check_source(
    source: Any, encoder: Any, decoder: Any
) -> tuple[Any, np.ndarray]:
    """Returns sources as an array, or several by name, and how much of its
    second axis each row needs."""
    if hasattr(encoder, "vocabulary_size"):
        source = check_source_ids(source, encoder, decoder)
        return source, find_lengths(source, getattr(encoder, "pad_id", 0))
    if hasattr(encoder, "encoders"):
        source = check_sources(source, encoder, decoder)
    source = keras.tree.map_structure(ops.convert_to_numpy, source)
    shapes = [one.shape[:2] for one in keras.tree.flatten(source)]
    return source, np.full(shapes[0][0], max(width for _, width in shapes))


def find_lengths(ids: np.ndarray, pad_id: int) -> np.ndarray:
    """Returns int32 `(B,)`: tokens before the padding at the end."""
    is_real = ids[:, ::-1] != pad_id
    return (ids.shape[1] - np.argmax(is_real, axis=1)).astype("int32")
