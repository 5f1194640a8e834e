"""JAX and torch keep the laws, and give the results of TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import backend_laws

ROOT = Path(__file__).parents[2]
BACKENDS = ("jax", "torch")
# Two devices to share a batch out to; and the emitters that compile in half the
# time, for each shape is compiled anew, and run once or twice.
XLA_FLAGS = "--xla_force_host_platform_device_count=2"
XLA_FLAGS += " --xla_cpu_use_fusion_emitters=false"
XLA_FLAGS += " --xla_cpu_parallel_codegen_split_count=1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process a backend, all at once."""
    folder = tmp_path_factory.mktemp("reference")
    backend_laws.write_reference(folder)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command.append("--numprocesses=0")
    processes = {
        backend: subprocess.Popen(
            [*command, "--durations=5", "tests/backend_laws.py"],
            env={
                **os.environ,
                "KERAS_BACKEND": backend,
                "REFERENCE": str(folder),
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
                "XLA_FLAGS": XLA_FLAGS,
            },
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for backend in BACKENDS
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_keeps_the_laws(backend, runs):
    pytest.importorskip(backend)
    output, _ = runs[backend].communicate(timeout=900)
    assert runs[backend].returncode == 0, output[-6000:]
