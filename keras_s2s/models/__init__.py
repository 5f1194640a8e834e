"""Models: training, inference, forecasts, text and images to text."""

from keras_s2s.models.forecaster import Forecaster
from keras_s2s.models.image_to_text import ImageToText
from keras_s2s.models.inference import InferenceModel
from keras_s2s.models.one_to_many import OneToMany
from keras_s2s.models.scheduled_sampling import ScheduledSampling
from keras_s2s.models.seq2seq import Seq2Seq
from keras_s2s.models.text_to_text import TextToText

__all__ = [
    "Forecaster",
    "ImageToText",
    "InferenceModel",
    "OneToMany",
    "ScheduledSampling",
    "Seq2Seq",
    "TextToText",
]
