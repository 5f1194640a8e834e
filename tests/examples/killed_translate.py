"""Runs translate.py without graphs, killed in the middle of an epoch.

    python killed_translate.py EPOCH ...

Epochs count from 1, 0 is none; the rest is what translate.py takes. Standard
error says how many rows each step had.
"""

import os
import signal
import sys

import tensorflow as tf

from examples import translate


def end_in(epoch, end):
    """Returns what ends a run after the second step of an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if (len(self.model.history.epoch), batch) == (epoch - 1, 1):
            end()

    return on_train_batch_end


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def count_rows(train_step):
    """Returns a training step that says how many rows it has."""

    def step(self, batch):
        print("rows", len(batch[1]), file=sys.stderr, flush=True)
        return train_step(self, batch)

    return step


if __name__ == "__main__":
    tf.config.run_functions_eagerly(True)
    ending = end_in(int(sys.argv.pop(1)), kill)
    translate.Progress.on_train_batch_end = ending
    model = translate.s2s.models.Seq2Seq
    model.train_step = count_rows(model.train_step)
    translate.main()
