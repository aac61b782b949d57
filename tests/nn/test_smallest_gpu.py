"""The kernel for a CUDA device cuts the ticket that the processor cuts, bit for bit."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nn.emulated_cuda import EmulatedProgram, needs_compiler
from nn.small import dense_target, residual_target
from prunegap.cli import run
from prunegap.kernels.smallest import shaped_subsets
from prunegap.kernels.subset_sum import workspace
from prunegap.model.errors import BadInputError
from prunegap.nn import InputSet, Target, make_ticket
from prunegap.nn.graph import LayerShape
from prunegap.nn.smallest_gpu import THREADS, Questions, subsets_on_device
from prunegap.nn.source import Candidates, SourceLayer
from prunegap.nn.ticket_file import ticket_bytes

UNIT = 2.0**-48
SHAPES = [LayerShape(5, 7), LayerShape(1, 3), LayerShape(6, 4, (1, 2), groups=2), LayerShape(4, 4, (2,), groups=4)]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> EmulatedProgram:
    folder = tmp_path_factory.mktemp("kernels")
    return EmulatedProgram("smallest.cu", ["shaped_subsets"], folder, {"THREADS": THREADS})


def asked(shape: LayerShape, width: int, within: float, price: float, seed: int = 0) -> Questions:
    """Return random sums for all inputs of a layer, some of them 0, 1 in size, or just what a path is worth."""
    random = np.random.default_rng(seed)
    source = SourceLayer(shape, seed, 0, width, 0)
    blocks = list(range(shape.inputs))
    candidates = [source.candidates(block, 1) for block in blocks]
    sums = random.uniform(-0.7, 0.7, (shape.inputs, shape.weights_per_input)) / UNIT
    sums[0, 0] = 0.0
    sums[-1, -1] = 1.0 / UNIT
    if candidates[0].rows.size:
        sums[1, -1] = candidates[1].factors[0] * candidates[1].draws[0, -1] if candidates[1].rows.size else 0.0
    tolerance = random.uniform(0.5, 1.0, shape.inputs) * within / UNIT
    return Questions(shape, blocks, candidates, sums, tolerance, price * tolerance**2)


def by_the_processor(questions: Questions, carried: np.ndarray) -> np.ndarray:
    masks = np.zeros(questions.sums.shape, dtype=np.int64)
    for i, (group, candidates) in enumerate(zip(questions.groups(), questions.candidates, strict=True)):
        mine = carried[group * questions.outputs : (group + 1) * questions.outputs]
        within, price = questions.within[i], questions.price[i]
        row = questions.sums[i]
        space = workspace(candidates.rows.size)
        rest = (within, price, mine, 0, row.size, space, masks[i])
        shaped_subsets(candidates.factors, candidates.draws, row, *rest)
    return masks


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("width", "within", "sizes"),
    [
        (24, 0.1, {0, 1, 2, 3}),
        (24, 0.01, {-1, 2, 3, 4, 5}),
        (24, 1e-3, {3, 4, 6}),
        (36, 1e-4, {4, 5, 6}),
        (4, 0.05, {-1}),
    ],
)
def test_finds_what_the_processor_finds(
    emulated: EmulatedProgram, shape: LayerShape, width: int, within: float, sizes: set[int]
) -> None:
    met = set()
    for price in (0.0, 2.0, 50.0):
        questions = asked(shape, width, within, price)
        carried, ours = np.zeros(shape.outputs), np.zeros(shape.outputs)
        expected = by_the_processor(questions, carried)
        with ThreadPoolExecutor(1) as pool:
            masks = subsets_on_device(questions, ours, torch.device("cpu"), pool, emulated)
        np.testing.assert_array_equal(masks, expected)
        np.testing.assert_array_equal(ours, carried)
        met |= {-1 if mask < 0 else int(mask).bit_count() for mask in expected.ravel().tolist()}
    assert met >= sizes or shape.weight_count < 20


@needs_compiler
def test_parts_follow_each_other(emulated: EmulatedProgram) -> None:
    whole = asked(SHAPES[2], 20, 0.01, 2.0)
    carried, ours = np.zeros(6), np.zeros(6)
    expected = by_the_processor(whole, carried)
    found = []
    for part in (slice(0, 3), slice(3, 4)):
        arrays = (whole.sums[part], whole.within[part], whole.price[part])
        questions = Questions(whole.shape, whole.blocks[part], whole.candidates[part], *arrays)
        with ThreadPoolExecutor(1) as pool:
            found.append(subsets_on_device(questions, ours, torch.device("cpu"), pool, emulated))
    np.testing.assert_array_equal(np.concatenate(found), expected)
    np.testing.assert_array_equal(ours, carried)


@needs_compiler
def test_no_candidate_at_all_leaves_zeros_and_the_impossible(emulated: EmulatedProgram) -> None:
    shape = LayerShape(3, 1)
    none = Candidates(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, 3), dtype=np.int32))
    questions = Questions(shape, [0], [none], np.array([[0.0, 5.0, -50.0]]), np.array([10.0]), np.array([1.0]))
    with ThreadPoolExecutor(1) as pool:
        masks = subsets_on_device(questions, np.zeros(3), torch.device("cpu"), pool, emulated)
    np.testing.assert_array_equal(masks, [[0, 0, -1]])


@needs_compiler
@pytest.mark.parametrize(
    ("target", "inputs", "epsilon"),
    [(dense_target(), "ball:1", 0.02), (residual_target(), "box:0:1", 0.02), (dense_target(1), "box:0:1", 1e-3)],
)
def test_the_ticket_does_not_depend_on_the_device(
    emulated: EmulatedProgram, monkeypatch: pytest.MonkeyPatch, target: Target, inputs: str, epsilon: float
) -> None:
    """The kernel is run on this processor in place of a CUDA device; everything else is as it would be there."""
    calls = []

    def on_device(questions: Questions, carried: np.ndarray, device: torch.device, pool: Executor) -> np.ndarray:
        calls.append(questions.places)
        return subsets_on_device(questions, carried, torch.device("cpu"), pool, emulated)

    options = {"inputs": InputSet.parse(inputs), "workers": 1}
    expected = make_ticket(target, epsilon, 5, **options)
    monkeypatch.setattr("prunegap.nn.construct.find_device", torch.device)
    monkeypatch.setattr("prunegap.nn.construct.subsets_on_device", on_device)
    # Several parts a layer.
    monkeypatch.setattr("prunegap.nn.construct.CHUNK", 5)
    making = make_ticket(target, epsilon, 5, device="cuda", **options)
    assert calls
    assert making.impossible == expected.impossible
    assert making.ticket is not None
    assert expected.ticket is not None
    assert ticket_bytes(making.ticket) == ticket_bytes(expected.ticket)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_says_that_there_is_no_gpu() -> None:
    with pytest.raises(BadInputError, match=r"device 'cuda'.*needs an NVIDIA GPU.*use --device cpu"):
        make_ticket(dense_target(), device="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "tpu"])
def test_the_command_refuses_a_device_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    save_file({"a.weight": torch.zeros(2, 3)}, tmp_path / "state")
    where = ["--spec", "a", "--input", "3", "--out", str(tmp_path / "t"), "--device", device]
    assert run(["ticket", "make", str(tmp_path / "state"), *where]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"device '{device}'" in told.err
    assert "use --device cpu" in told.err
    assert not (tmp_path / "t").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("target", [dense_target(), residual_target()])
@pytest.mark.parametrize("epsilon", [0.02, 1e-4])
def test_the_ticket_of_the_real_device_is_that_of_the_processor(target: Target, epsilon: float) -> None:
    makings = [make_ticket(target, epsilon, 5, device=device) for device in ("cpu", "cuda")]
    tickets = [making.ticket for making in makings]
    assert None not in tickets
    assert len({ticket_bytes(ticket) for ticket in tickets}) == 1
