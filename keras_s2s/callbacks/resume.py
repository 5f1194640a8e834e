"""Trainings that go on after whatever stopped them."""

import contextlib
import io
import itertools
import json
import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.saving import saving_lib

from keras_s2s.checks import check_positive
from keras_s2s.checks import fail
from keras_s2s.recurrence import get_random_state
from keras_s2s.recurrence import leads_workers
from keras_s2s.recurrence import set_random_state

STATE = "state.json"


class Resume(keras.callbacks.Callback):
    """Has a training that was stopped, or killed, go on as if it had not been.

    After each epoch it writes to `folder` the weights and the optimizer's
    state, the random states of dropout, the history, and where the data and
    other callbacks are. The same program started again goes on with the epoch
    after that, so that the final weights and the history are those of a run
    that was never stopped. Each write leaves the last whole one or the new
    one, whatever happens: a kill, a full disk.

    The order of the batches has to depend on the epoch alone: `shuffle=False`
    in `fit`, as the data of this package shuffle themselves. Put it last in
    the list of callbacks. Of several workers the first writes, and all read:
    `folder` has to be one that they share.

    Args:
        folder: str or path. Made if it is not there; of one training.
        data: what `fit` trains on, if it has an `epoch` to be set, as
            `SequencePairs`; else None. Default: None.
        callbacks: sequence of other callbacks whose numbers and strings go
            on: the best so far and the epochs waited of EarlyStopping,
            ModelCheckpoint and ReduceLROnPlateau. Default: none.
        keep: int > 0. Of how many epochs, the last, the weights stay in the
            folder, as `epoch-1.weights.h5` and so on. Default: 1.

    Raises:
        ValueError: the folder holds the training of another model; its state
            was altered or truncated; `keep` is not positive.

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
        keep: int = 1,
    ) -> None:
        super().__init__()
        check_positive("keep", keep)
        self.folder = Path(folder)
        self.data = data
        self.callbacks = list(callbacks)
        self.keep = keep
        self._set = [{} for _ in self.callbacks]
        self._logs = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._begun = [_values(callback) for callback in self.callbacks]
        epoch, self._logs = 0, []
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
        self._recall()

    def on_epoch_end(
        self, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        if not leads_workers(self.model):
            # To save has all workers make variables, where `fit` is inside
            # the scope of their strategy.
            _weights_file(self.model)
            return
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self._logs.append(logs)
        state = {
            "epochs": epoch + 1,
            "logs": self._logs,
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
            new_path.write_bytes(_weights_file(self.model))
            os.replace(new_path, path)
            new_state = self.folder / f"new-{STATE}"
            new_state.write_text(json.dumps(state), encoding="utf-8")
            os.replace(new_state, self.folder / STATE)
        except BaseException:
            with contextlib.suppress(OSError):
                new_path.unlink(missing_ok=True)
            raise
        kept = [self._weights_path(epoch + 1 - i) for i in range(self.keep)]
        for old in self.folder.glob("epoch-*.weights.h5"):
            if old not in kept:
                old.unlink(missing_ok=True)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model._initial_epoch = None
        self._recall()

    def _recall(self) -> None:
        """Puts the epochs that came before this `fit` into its history."""
        history = self.model.history
        if not history.epoch:
            history.epoch = list(range(len(self._logs)))
            for logs in self._logs:
                for name, value in logs.items():
                    history.history.setdefault(name, []).append(value)

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
        self._logs = state.get("logs", [])
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


def _weights_file(model: keras.Model) -> memoryview:
    """Returns what `save_weights` writes, the optimizer's state included.

    On a full disk HDF5 does not only fail: the process ends with a
    segmentation fault.
    """
    content = io.BytesIO()
    store = saving_lib.H5IOStore(content, mode="w")
    saving_lib._save_state(
        model,
        weights_store=store,
        assets_store=None,
        inner_path="",
        visited_saveables=set(),
    )
    store.close()
    return content.getbuffer()


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
