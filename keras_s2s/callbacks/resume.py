"""Trainings that go on after whatever stopped them."""

import contextlib
import itertools
import json
import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_s2s.checks import fail
from keras_s2s.recurrence import get_random_state
from keras_s2s.recurrence import set_random_state

STATE = "state.json"


class Resume(keras.callbacks.Callback):
    """Has a training that was stopped, or killed, go on as if it had not been.

    After each epoch it writes to `folder` the weights and the optimizer's
    state, the random states of dropout, and where the data and other
    callbacks are. The same program started again goes on with the epoch
    after that, so that the final weights are those of a run that was never
    stopped. Each write leaves the last whole one or the new one, whatever
    happens: a kill, a full disk.

    The order of the batches has to depend on the epoch alone: `shuffle=False`
    in `fit`, as the data of this package shuffle themselves. Put it last in
    the list of callbacks.

    Args:
        folder: str or path. Made if it is not there; of one training.
        data: what `fit` trains on, if it has an `epoch` to be set, as
            `SequencePairs`; else None. Default: None.
        callbacks: sequence of other callbacks whose numbers and strings go
            on: the best so far and the epochs waited of EarlyStopping,
            ModelCheckpoint and ReduceLROnPlateau. Default: none.

    Raises:
        ValueError: the folder holds the training of another model; its state
            was altered or truncated.

    Example:
        ```python
        data = s2s.data.TextPairs(sources, targets, tokenizer, tokenizer)
        resume = s2s.callbacks.Resume("runs/first", data)
        model.fit(data, epochs=20, shuffle=False, callbacks=[resume])
        ```
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        data: Any = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.data = data
        self.callbacks = list(callbacks)
        self._set = [{} for _ in self.callbacks]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._begun = [_values(callback) for callback in self.callbacks]
        epoch = 0
        if (self.folder / STATE).exists():
            epoch = self._restore(self._read_state())
            self.model._initial_epoch = epoch
        if hasattr(self.data, "epoch"):
            self.data.epoch = epoch

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        # `fit` has read it; another one, after this is stopped, must not.
        self.model._initial_epoch = None

    def on_epoch_end(
        self, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        state = {
            "epochs": epoch + 1,
            "weights": _describe(self.model),
            "random": [
                np.asarray(keras.ops.convert_to_numpy(seed)).tolist()
                for seed in _random_states(self.model)
            ],
            "backend": [keras.backend.backend(), get_random_state()],
            "callbacks": self._changed(),
        }
        path = self._weights_path(epoch + 1)
        new_path = path.with_name(f"new-{path.name}")
        try:
            self.model.save_weights(new_path)
            os.replace(new_path, path)
            new_state = self.folder / f"new-{STATE}"
            new_state.write_text(json.dumps(state), encoding="utf-8")
            os.replace(new_state, self.folder / STATE)
        except BaseException:
            with contextlib.suppress(OSError):
                new_path.unlink(missing_ok=True)
            raise
        for old in self.folder.glob("epoch-*.weights.h5"):
            if old != path:
                old.unlink(missing_ok=True)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model._initial_epoch = None

    def _weights_path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.weights.h5"

    def _read_state(self) -> dict[str, Any]:
        try:
            state = json.loads((self.folder / STATE).read_text("utf-8"))
            described = state["weights"]
        except (ValueError, KeyError, TypeError) as error:
            rule = f"a folder with a whole {STATE}"
            fail("folder", rule, str(self.folder), f"It is damaged: {error}.")
        found = _describe(self.model)
        if described != found:
            rule = "new, or of this model"
            one, other = next(
                pair
                for pair in itertools.zip_longest(described, found)
                if pair[0] != pair[1]
            )
            cure = f"A weight is {one} there, and {other} here."
            fail("folder", rule, str(self.folder), cure)
        return state

    def _restore(self, state: dict[str, Any]) -> int:
        """Sets everything to where it was; returns how many epochs that is."""
        path = self._weights_path(state["epochs"])
        if self.model.optimizer is not None:
            self.model.optimizer.build(self.model.trainable_variables)
        try:
            self.model.load_weights(path)
        except (OSError, KeyError) as error:
            rule = f"a folder with a whole {path.name}"
            fail("folder", rule, str(self.folder), f"It is damaged: {error}.")
        for seed, value in zip(_random_states(self.model), state["random"]):
            seed.assign(np.array(value, seed.dtype))
        backend, random = state["backend"]
        if backend == keras.backend.backend():
            set_random_state(random)
        for callback, values in zip(self.callbacks, state["callbacks"]):
            vars(callback).update(values)
        self._set = state["callbacks"]
        return state["epochs"]

    def _changed(self) -> list[dict[str, Any]]:
        """Returns the numbers of other callbacks that training has set.

        Not all of them: what a program sets anew, such as a patience, holds.
        """
        return [
            {
                name: value
                for name, value in _values(callback).items()
                if name in before or name not in begun or begun[name] != value
            }
            for callback, begun, before in zip(
                self.callbacks, self._begun, self._set
            )
        ]


def _values(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Returns the numbers and strings among the attributes of a callback."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in vars(callback).items()
        if value is None or isinstance(value, (str, numbers.Number, np.generic))
    }


def _describe(model: keras.Model) -> list[str]:
    # Keras numbers layers, and thus paths, as a program makes them.
    return [f"{weight.name} {list(weight.shape)}" for weight in model.weights]


def _random_states(model: keras.Model) -> list[keras.Variable]:
    """Returns the states of dropout, which `save_weights` leaves out."""
    return [
        variable
        for variable in model.non_trainable_variables
        if variable.name == "seed_generator_state"
    ]
