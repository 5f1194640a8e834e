"""A loss that is no number ends a training, and says where."""

import keras
import numpy as np
import pytest

from keras_s2s.callbacks import FiniteLoss


class Data(keras.utils.PyDataset):
    """Batches of one number, whose squares overflow in the third."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        value = np.full((1, 1), 1e30 if index == 2 else 1.0, "float32")
        return value, value

    def pair_indices(self, index):
        return np.array([10 * index])


@pytest.mark.parametrize("named", [True, False])
def test_the_step_and_its_pairs_are_named(named):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    data, ended = Data(), []
    after = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ended.append(epoch)
    )
    rule = r"`loss` must be a finite number. Received: loss=(inf|nan). In "
    rule += "epoch 1, step 3."
    if named:
        rule += r" Its pairs, counted from 0: \[20\]."
    finite = FiniteLoss(data if named else None)
    with pytest.raises(FloatingPointError, match=rule):
        model.fit(data, shuffle=False, verbose=0, callbacks=[finite, after])
    assert not ended


def test_a_finite_loss_is_left_alone():
    callback = FiniteLoss()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0, {"loss": 3.0})
    callback.on_train_batch_end(0, {})
