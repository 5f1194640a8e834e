"""Models: training, inference, forecasts, text to text."""

from keras_s2s.models.forecaster import Forecaster
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.seq2seq import Seq2Seq
from keras_s2s.models.text_to_text import TextToText

__all__ = ["Forecaster", "InferenceModel", "Seq2Seq", "TextToText"]
