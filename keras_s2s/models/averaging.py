"""The mean of models that were saved while one was trained."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_s2s import checks


def average_models(paths: Sequence[str | Path]) -> keras.Model:
    """Returns the last of some saved models with the mean of their weights.

    Of checkpoints of one training the mean often translates better than
    any; take the last few, or the few of the best scores. What is no float,
    such as the state of random generators, is that of the last, and so is
    the state of the optimizer.

    Args:
        paths: sequence of paths of `.keras` files of one model.

    Raises:
        ValueError: there is none; one has other weights than the first.

    Example:
        ```python
        keep = keras.callbacks.ModelCheckpoint("epoch-{epoch:02d}.keras")
        model.fit(data, epochs=20, callbacks=[keep])
        paths = sorted(pathlib.Path().glob("epoch-*.keras"))
        model = s2s.models.average_models(paths[-5:])
        ```

    Source: Vaswani et al., 2017, section 6.1, https://arxiv.org/abs/1706.03762
    """
    if isinstance(paths, (str, Path)) or not len(paths):
        checks.fail("paths", "a sequence of at least one path", paths)
    totals = []
    for path in paths:
        model = keras.saving.load_model(path)
        weights = model.get_weights()
        totals = totals or [np.zeros(weight.shape) for weight in weights]
        if [one.shape for one in weights] != [one.shape for one in totals]:
            rule = f"files of one model, with the weights of {str(paths[0])!r}"
            checks.fail("paths", rule, str(path))
        # In float64: bfloat16, too, adds up without loss.
        totals = [total + weight for total, weight in zip(totals, weights)]
    variables = zip(model.weights, totals)
    model.set_weights(
        [
            total / len(paths)
            if keras.backend.is_float_dtype(variable.dtype)
            else weight
            for (variable, total), weight in zip(variables, weights)
        ]
    )
    return model
