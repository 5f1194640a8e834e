"""Search over a step function, with no layer in sight."""

from keras_s2s.decoding.beam import BeamSearch as BeamSearch
from keras_s2s.decoding.greedy import GreedySearch as GreedySearch
from keras_s2s.decoding.sampling import RandomSampling as RandomSampling
from keras_s2s.decoding.search import Search as Search
