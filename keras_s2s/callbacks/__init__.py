"""Callbacks of `fit`."""

from keras_s2s.callbacks.average_weights import AverageWeights
from keras_s2s.callbacks.finite_loss import FiniteLoss
from keras_s2s.callbacks.generation_metrics import GenerationMetrics
from keras_s2s.callbacks.resume import Resume

__all__ = ["AverageWeights", "FiniteLoss", "GenerationMetrics", "Resume"]
