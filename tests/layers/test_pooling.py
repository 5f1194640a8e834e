"""One vector for a memory, against NumPy."""

import keras
import numpy as np
import pytest

from keras_s2s.layers import MemoryPooling
from keras_s2s.layers import RNNEncoder
from tests import layer_checks
from tests import numerics
from tests import pairs

RANDOM = np.random.default_rng(0)
MEMORY = {
    "outputs": RANDOM.normal(size=(3, 4, 2)).astype("float32") - 3.0,
    "mask": np.array([[1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], "bool"),
    "state": [RANDOM.normal(size=(3, n)).astype("float32") for n in (2, 3)],
}
ROWS = [MEMORY["outputs"][row][MEMORY["mask"][row]] for row in (0, 1)]
EXPECTED = {
    "mean": [*(row.mean(0) for row in ROWS), np.zeros(2)],
    # All values are negative: padding, as 0, would be the largest.
    "max": [*(row.max(0) for row in ROWS), np.zeros(2)],
    "state": np.concatenate(MEMORY["state"], axis=1),
}
every_kind = pytest.mark.parametrize("kind", EXPECTED)


@every_kind
def test_it_is_what_numpy_gives(kind):
    found = numerics.numpy(MemoryPooling(kind)(MEMORY))
    np.testing.assert_allclose(found, EXPECTED[kind], rtol=1e-5)


@every_kind
def test_it_keeps_what_a_layer_keeps(kind):
    layer_checks.check_layer(lambda **o: MemoryPooling(kind, **o), MEMORY)


def test_a_classifier_is_saved_and_padding_changes_nothing(tmp_path):
    encoder = RNNEncoder(pairs.SOURCE_SIZE, 4, 5)
    source = encoder.make_input()
    pooled = MemoryPooling("max")(encoder(source))
    model = keras.Model(source, keras.layers.Dense(3)(pooled))
    source_ids = pairs.sentences()[0]
    expected = numerics.numpy(model(source_ids))
    numerics.assert_close(model(pairs.pad(source_ids, 3)), expected, 1e-5)
    numerics.assert_close(model(source_ids[1:2, :1]), expected[1:2], 1e-5)
    model.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    numerics.assert_close(loaded(source_ids), expected, 0)


def test_bad_kinds_are_named():
    with pytest.raises(ValueError, match="`kind` must be one of"):
        MemoryPooling("first")
    memory = {name: MEMORY[name] for name in ("outputs", "mask")}
    with pytest.raises(ValueError, match="`kind` must be 'mean' or 'max' wh"):
        MemoryPooling("state")(memory)
