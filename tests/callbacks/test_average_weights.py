"""The mean of the weights of several epochs."""

import keras
import numpy as np
import pytest

from keras_s2s.callbacks import AverageWeights


def fit(callbacks, epochs):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    data = np.ones((2, 1), "float32")
    model.fit(data, data, epochs=epochs, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"num_epochs": 2}, [2, 3]),
        ({"num_epochs": 9}, [0, 1, 2, 3]),
        ({"num_epochs": 2, "monitor": "score"}, [1, 3]),
        ({"num_epochs": 1, "monitor": "score", "mode": "min"}, [2]),
    ],
)
def test_weights_of_epochs_are_averaged(options, epochs):
    seen, scores = [], [1.0, 3.0, 0.5, 3.0]
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (
            seen.append(spy.model.get_weights()),
            logs.update(score=scores[epoch]),
        )
    )
    average = AverageWeights(**options)
    fit([spy, average], epochs=4)
    expected = [
        np.mean(parts, axis=0)
        for parts in zip(*(seen[epoch] for epoch in epochs))
    ]
    for found, one in zip(average.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-6)


def test_averaging_refuses_arguments():
    with pytest.raises(ValueError, match="`num_epochs` must be an integer >="):
        AverageWeights(0)
    with pytest.raises(ValueError, match="`mode` must be one of"):
        AverageWeights(mode="auto")
    rule = r"`monitor` must be one of the logs, \['loss'\]"
    with pytest.raises(ValueError, match=rule):
        fit([AverageWeights(monitor="val_bleu")], epochs=1)
