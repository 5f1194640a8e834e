"""Training reads a `PyDataset` as Keras does, and ends when it ends."""

import random

import keras
import numpy as np
import pytest
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

import keras_s2s as s2s
from keras_s2s.recurrence import read_promptly
from keras_s2s.recurrence.tensorflow_data import PromptAdapter
from tests import pairs


@pytest.fixture(scope="module")
def model():
    model = s2s.models.Seq2Seq(*pairs.build(*pairs.make_layers("default")))
    model.compile("sgd", loss=s2s.losses.SequenceLoss())
    return model


@pytest.fixture
def data():
    return s2s.data.SequencePairs(
        [[5, 3]] * 9, [[6]] * 9, batch_size=2, shuffle=False
    )


@pytest.fixture
def waits(monkeypatch):
    """Of each dataset that is made, whether tf.data has a thread to end."""
    found = []

    def spy_on(adapter):
        make = adapter.get_tf_dataset

        def spy(self):
            dataset = make(self)
            if type(self) is adapter:
                found.append(dataset.options().autotune.enabled is not False)
            return dataset

        monkeypatch.setattr(adapter, "get_tf_dataset", spy)

    spy_on(PyDatasetAdapter)
    spy_on(PromptAdapter)
    return found


def test_an_epoch_waits_for_nothing(model, data, waits):
    model.fit(data, validation_data=data, epochs=2, verbose=0)
    assert waits == [False, False]
    model.evaluate(data, verbose=0)
    assert waits == [False] * 3


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_come_as_keras_has_them(data, shuffle):
    def read(adapter):
        random.seed(0)
        return [batch[1].numpy().tolist() for batch in adapter.get_tf_dataset()]

    data = s2s.data.SequencePairs(
        [[5, 3]] * 9, np.arange(5, 14)[:, None].tolist(), batch_size=2
    )
    found = read(read_promptly(data, shuffle))
    assert found == read(PyDatasetAdapter(data, shuffle=shuffle))
    assert len(found) == 5


def test_classes_weigh_what_keras_has_them_weigh(data):
    class Once(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return np.zeros((2, 3)), np.array([0, 1])

    weights = {0: 1.0, 1: 5.0}
    adapter = read_promptly(Once(), class_weight=weights)
    (batch,) = adapter.get_tf_dataset()
    assert batch[2].numpy().tolist() == [1.0, 5.0]


def test_what_is_no_dataset_is_left_as_it_is():
    for data in (None, np.zeros(3), {"source_ids": np.zeros((1, 1))}):
        assert read_promptly(data) is data


def test_labels_beside_a_dataset_are_refused_as_keras_does(model, data):
    for run in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="PyDataset"):
            run(data, np.zeros((9, 2)), verbose=0)
