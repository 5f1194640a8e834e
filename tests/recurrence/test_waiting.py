"""What TensorFlow is to run only when something else is there."""

import tensorflow as tf

from keras_s2s import recurrence
from tests import pairs


def test_what_waits_has_its_value_when_the_others_are_there():
    @tf.function(autograph=False)
    def run(values, one, other):
        one, other = tf.exp(one, name="one"), tf.exp(other, name="other")
        return recurrence.wait_for(values, {"a": one, "b": [None, other]})

    specs = [tf.TensorSpec([], name=name) for name in ("x", "y", "z")]
    found = run.get_concrete_function(*specs)
    (last,) = found.graph.outputs
    waits = last.op if last.op.control_inputs else last.op.inputs[0].op
    assert [one.name for one in waits.control_inputs] == ["one", "other"]
    assert run(3.0, 1.0, 2.0) == 3.0
    assert recurrence.wait_for(tf.constant(3.0), [tf.constant(1.0)]) == 3.0


def test_a_decoder_waits_for_its_encoder_and_a_transposed_kernel_for_both():
    encoder, decoder = pairs.pair("default")
    variables = encoder.trainable_variables + decoder.trainable_variables

    @tf.function(input_signature=[tf.TensorSpec([None, None], "int32")] * 2)
    def step(source, target):
        with tf.GradientTape() as tape:
            memory = encoder(source, training=True)
            features = decoder.features(target, memory, training=True)
        return tape.gradient(features, variables)

    graph = step.get_concrete_function().graph
    operations = graph.get_operations()
    (targets,) = (
        one for one in operations if one.name.split("/")[-1] == "wait"
    )
    assert waits_for_a_loop(targets)
    kernels = [
        one
        for one in operations
        if one.type == "Transpose" and "matrix_transpose" in one.name
    ]
    assert len(kernels) > 3
    assert all(map(waits_for_a_loop, kernels))


def waits_for_a_loop(operation):
    seen, left = {}, [operation]
    while left:
        one = left.pop()
        if one.name not in seen:
            seen[one.name] = one.type
            left += [*one.control_inputs, *(source.op for source in one.inputs)]
    return any("While" in kind for kind in seen.values())
