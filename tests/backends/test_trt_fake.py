"""What the TensorRT backend does when a call fails, by a FAKE TensorRT and a FAKE driver.

None of this is coverage of TensorRT: see tests/support/fake_trt.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.backends import BUILDING, Model, Normalisation, cuda, trt, trt_library
from forensics.backends.engine_cache import VARIABLE, EngineCache
from forensics.backends.trt_build import Target, engine_key
from forensics.cascade.definition import load_cascade
from forensics.errors import BackendError
from tests.support.fake_trt import GPU, FakeCuda, FakeTrt, fake_library

CLASSIFIER = load_cascade("handgun").classifier
assert CLASSIFIER is not None
MODEL = CLASSIFIER.files["int8"].load("int8", 32)  # the cheapest to prepare
PLAIN = Normalisation()


class Machine:
    """A machine with a fake GPU; `open` opens an engine on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.monkeypatch, self.folder = monkeypatch, folder
        monkeypatch.setenv(VARIABLE, str(folder))
        monkeypatch.setattr("forensics.backends.graphs.prepare", lambda model, normalisation: b"")
        self.cuda = FakeCuda()
        self.trt = FakeTrt(self.cuda)

    def open(self, **options: Any) -> trt.TensorRtEngine:
        self.monkeypatch.setattr(trt, "open_device", lambda: self.cuda)
        self.monkeypatch.setattr(trt, "open_library", lambda: fake_library(self.trt))
        return trt.open_engine(MODEL, PLAIN, 1, "fp32", **options)

    def fails(self, call: str, says: str = "it broke") -> None:
        self.trt = FakeTrt(self.cuda, call, says)

    @property
    def plan(self) -> Path:
        return next(self.folder.glob("*.engine"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path / "engines")


def pictures(n: int) -> Any:
    return np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("n", [0, 1, 8, 9, 40])
def test_every_image_gets_its_own_result(machine: Machine, n: int) -> None:
    engine = machine.open(graphs=False)
    assert engine.without_graph == "switched off"
    before = machine.trt.runs
    images = pictures(n)
    result = engine.infer(images)
    np.testing.assert_array_equal(result[:, 0], images.reshape(n, 3072).mean(1).astype(np.float32))
    assert machine.trt.runs - before == -(-n // 8)


@pytest.mark.parametrize("batch", [1, 16])
def test_other_batches_give_the_same(machine: Machine, batch: int) -> None:
    images = pictures(19)
    usual = machine.open(graphs=False).infer(images)
    np.testing.assert_array_equal(machine.open(graphs=False, batch=batch).infer(images), usual)


def test_a_run_is_recorded_and_launched(machine: Machine) -> None:
    engine = machine.open()
    runs = machine.trt.runs
    engine.infer(pictures(20))
    assert machine.cuda.calls.count("launch") == 3
    assert machine.trt.runs == runs


def test_without_a_graph_it_runs_all_the_same(machine: Machine) -> None:
    machine.cuda.refuse_capture = True
    engine = machine.open()
    assert "refused cuStreamEndCapture" in engine.without_graph
    images = pictures(3)
    np.testing.assert_array_equal(
        engine.infer(images)[:, 1], images.reshape(3, 3072).mean(1).astype(np.float32)
    )


class TestImagesOnTheDevice:
    """The engine's method for images that are on the GPU; memory of the host stands for its."""

    STREAM = 77

    def infer(self, engine: trt.TensorRtEngine, images: Any) -> Any:
        results = np.empty((len(images), 2), np.float32)
        source, target = images.ctypes.data, results.ctypes.data
        engine.run_on_device(source, target, len(images), self.STREAM)
        return results

    @pytest.mark.parametrize("graphs", [True, False])
    @pytest.mark.parametrize("n", [1, 5, 8])
    def test_results_are_those_of_the_host(self, machine: Machine, n: int, graphs: bool) -> None:
        engine = machine.open(graphs=graphs)
        images = pictures(n)
        np.testing.assert_array_equal(self.infer(engine, images), engine.infer(images))
        np.testing.assert_array_equal(self.infer(engine, images[:1]), engine.infer(images[:1]))

    def test_it_stays_on_the_callers_stream(self, machine: Machine) -> None:
        engine = machine.open()
        machine.cuda.calls.clear()
        self.infer(engine, pictures(5))
        here = f"on {self.STREAM}"
        runs = [f"copy {here}", f"clear {here}", "launch", f"copy {here}"]
        assert machine.cuda.calls == ["use", "wait", "wait", *runs, "record"]
        machine.cuda.calls.clear()
        self.infer(engine, pictures(8))  # a whole batch has no tail
        assert f"clear {here}" not in machine.cuda.calls
        assert not {"upload", "download", "finish"} & set(machine.cuda.calls)

    def test_by_tensors(self, machine: Machine) -> None:
        torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
        from forensics.cascade.device_engines import TensorRtOnDevice

        engine = machine.open()
        device = TensorRtOnDevice(engine, lambda: self.STREAM)
        images = pictures(19)
        found = device.infer(torch.from_numpy(images))
        assert found.dtype == torch.float32
        np.testing.assert_array_equal(found.numpy(), engine.infer(images))
        turned = torch.from_numpy(images).transpose(1, 2)  # not as it lies in memory
        expected = engine.infer(np.ascontiguousarray(turned.numpy()))
        np.testing.assert_array_equal(device.infer(turned).numpy(), expected)
        for wrong in (torch.zeros(2, 32, 32, 3), torch.zeros(2, 3, 32, 32, dtype=torch.uint8)):
            with pytest.raises(BackendError, match=r"engine takes uint8 \(n, 32, 32, 3\)"):
                device.infer(wrong)

    def test_a_run_that_fails(self, machine: Machine) -> None:
        engine = machine.open(graphs=False)
        machine.trt.fails = "execute_async_v3"
        with pytest.raises(BackendError, match="failed to run: it broke"):
            self.infer(engine, pictures(1))


def test_engines_are_built_once(machine: Machine) -> None:
    told: list[tuple[str, float]] = []
    token = BUILDING.set(lambda name, done: told.append((name, done)))
    one = machine.open()
    BUILDING.reset(token)
    assert told[-1] == (MODEL.name, 1.0)
    assert [done for _, done in told] == sorted(done for _, done in told)
    other = machine.open()
    assert machine.trt.builds == 1
    assert one.provenance == other.provenance
    assert len(one.provenance.engine_sha256 or "") == 64
    assert one.provenance.model_sha256 == MODEL.sha256


def test_timings_are_kept(machine: Machine) -> None:
    machine.open()
    machine.plan.unlink()
    machine.open()
    assert machine.trt.timings == [b"", b"timings"]
    machine.plan.unlink()
    machine.fails("set_timing_cache")  # those of another driver
    machine.open()
    assert machine.trt.timings == [b"timings", b""]


def test_an_interrupted_build_ends_at_once(machine: Machine) -> None:
    def interrupt(name: str, done: float) -> None:
        raise KeyboardInterrupt

    token = BUILDING.set(interrupt)
    with pytest.raises(KeyboardInterrupt):
        machine.open()
    BUILDING.reset(token)
    assert not list(machine.folder.glob("*.engine"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("create_network", "makes no network: it broke"),
        ("parse", "cannot run classifier.int8.onnx: it broke"),
        ("build_serialized_network", "cannot build classifier.int8.onnx: it broke"),
        ("Runtime", "makes no runtime: it broke"),
        ("deserialize_cuda_engine", "cannot load the engine that it built: it broke"),
        ("create_execution_context", "makes no execution context: it broke"),
        ("set_optimization_profile_async", "refuses the batch: it broke"),
        ("set_input_shape", "refuses the input's size: it broke"),
        ("set_tensor_address", "refuses the input's address: it broke"),
        ("execute_async_v3", "failed to run: it broke"),
    ],
)
def test_each_failing_call_is_an_error(machine: Machine, call: str, message: str) -> None:
    machine.fails(call)
    with pytest.raises(BackendError, match=message):
        machine.open()


def test_a_run_that_fails_later(machine: Machine) -> None:
    engine = machine.open(graphs=False)
    machine.trt.fails = "execute_async_v3"
    with pytest.raises(BackendError, match="failed to run: it broke"):
        engine.infer(pictures(1))
    machine.trt.fails = ""
    assert engine.infer(pictures(2)).shape == (2, 2)


def test_out_of_memory_says_so(machine: Machine) -> None:
    machine.fails("create_execution_context", "Cannot allocate memory of 9 GiB")
    with pytest.raises(BackendError, match="out of GPU memory .*end other programs"):
        machine.open()
    machine.fails("")
    machine.cuda.left = 0
    with pytest.raises(BackendError, match="out of memory; end other programs"):
        machine.open()


def test_a_changed_engine_is_not_loaded(machine: Machine) -> None:
    machine.open()
    machine.plan.write_bytes(machine.plan.read_bytes() + b" ")
    with pytest.raises(BackendError, match="is not the engine that was built .*delete it"):
        machine.open()


@pytest.mark.parametrize(
    ("field", "there", "message"),
    [
        ("gpu", "Other GPU", r"another gpu \(Other GPU, here Fake GPU\)"),
        ("compute", "9.0", r"another compute \(9.0, here 8.9\)"),
        ("version", "10.1.0", r"another version \(10.1.0, here 10.16.1\)"),
        ("recipe", 0, "another key"),
    ],
)
def test_an_engine_of_another_machine(
    machine: Machine, field: str, there: Any, message: str
) -> None:
    """Somebody copied engine and sidecar under the name that is looked for here."""
    machine.open()
    sidecar = machine.plan.with_suffix(".json")
    said = json.loads(sidecar.read_text())
    said["key"][field] = there
    sidecar.write_text(json.dumps(said))
    with pytest.raises(BackendError, match=message):
        machine.open()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"key": 3, "plan_sha256": 4}'])
def test_a_damaged_sidecar(machine: Machine, text: str) -> None:
    machine.open()
    machine.plan.with_suffix(".json").write_text(text)
    with pytest.raises(BackendError, match="delete it to build"):
        machine.open()


def test_an_engine_without_sidecar_is_built_anew(machine: Machine) -> None:
    machine.open()
    machine.plan.with_suffix(".json").unlink()  # killed between the two
    machine.open()
    assert machine.trt.builds == 2


def test_a_folder_that_others_write_is_refused(machine: Machine) -> None:
    machine.open()
    machine.folder.chmod(0o777)
    with pytest.raises(BackendError, match="can be written by others"):
        machine.open()


def test_a_folder_that_cannot_be_written(machine: Machine) -> None:
    machine.folder.write_text("a file")
    with pytest.raises(BackendError, match=f"cannot keep engines in .* set {VARIABLE}"):
        machine.open()


def test_a_hash_that_a_model_only_claims_is_not_trusted(machine: Machine) -> None:
    """Unnamed graphs, such as those of an export at work, all claim the same one."""
    library = fake_library(machine.trt)
    target = Target.of(GPU, library)
    one, other = (Model("x", data, "0" * 64, "fp32", 32) for data in (b"1", b"2"))
    assert engine_key(one, PLAIN, library, target) != engine_key(other, PLAIN, library, target)


def test_keys_differ_with_all_that_matters(machine: Machine) -> None:
    library = fake_library(machine.trt)
    base = engine_key(MODEL, PLAIN, library, Target.of(GPU, library))
    assert base.gpu == GPU.name
    other = Normalisation((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    assert engine_key(MODEL, other, library, Target.of(GPU, library)).name != base.name
    rtx = fake_library(machine.trt, "tensorrt_rtx")
    assert Target.of(GPU, rtx) == Target("8.9", "")
    assert engine_key(MODEL, PLAIN, rtx, Target.of(GPU, library)).name != base.name
    assert EngineCache(machine.folder).load(base) is None


class TestLibrary:
    """Which TensorRT is taken; modules are fakes that only have a version."""

    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        trt_library.open_library.cache_clear()
        yield
        monkeypatch.undo()
        trt_library.open_library.cache_clear()

    def modules(self, monkeypatch: pytest.MonkeyPatch, **found: Any) -> None:
        def load(name: str) -> Any:
            if isinstance(found.get(name), Exception):
                raise found[name]
            if name not in found:
                raise ModuleNotFoundError(name, name=name)
            return type("Fake", (), {"__version__": found[name]})

        monkeypatch.setattr(trt_library.importlib, "import_module", load)

    def test_enterprise_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modules(monkeypatch, tensorrt="11.4.0", tensorrt_rtx="1.7")
        assert trt_library.open_library().title == "TensorRT 11.4.0"

    def test_rtx_where_the_other_is_too_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modules(monkeypatch, tensorrt="8.6.0", tensorrt_rtx="1.7")
        assert trt_library.open_library().title == "TensorRT-RTX 1.7"

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            ({}, "TensorRT is not installed; install forensics"),
            ({"tensorrt": "8.6.0"}, "TensorRT 8.6.0 is installed, but 10 or 11 is needed"),
            ({"tensorrt": "12.0"}, "TensorRT 12.0 is installed, but 10 or 11 is needed"),
            ({"tensorrt_rtx": OSError("no libfoo")}, r"tensorrt_rtx cannot be loaded \(no libfoo"),
            (
                {"tensorrt": ModuleNotFoundError("no part", name="tensorrt_libs")},
                r"tensorrt cannot be loaded \(no part",
            ),
        ],
    )
    def test_why_not(self, monkeypatch: pytest.MonkeyPatch, found: Any, message: str) -> None:
        self.modules(monkeypatch, **found)
        with pytest.raises(BackendError, match=message):
            trt_library.open_library()


def test_no_driver_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "LIBRARY", "libcuda-that-nobody-has.so.1")
    cuda.open_device.cache_clear()
    with pytest.raises(BackendError, match="there is no NVIDIA driver"):
        trt.version()
    cuda.open_device.cache_clear()
