"""Measures what load generators report of a paced server: aiperf (NVIDIA) and guidellm (vLLM), each
if it is on the PATH. The metrics are what they report, divided by what was configured, and how late
the server itself was meanwhile: what is more than that is the tool's.

Neither may need the network. Their tokenizer is made here and splits texts into bytes; they take
the number of tokens from the `usage` of the answers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import exchange
from benchmarks.exchange import WrongAnswerError
from benchmarks.footprint import Measurement, Metric
from benchmarks.loads import LOAD_TOOL_ITL, LOAD_TOOL_TOKENS, LOAD_TOOL_TTFT, OURS
from benchmarks.measure import Bench
from benchmarks.servers import CannotStartError

NAME = "load_tools"  # in `--only`

REQUESTS = 150
RATE = 10  # requests per second, in equal distances: what a burst costs the tool is not measured
MAX_RUN = 240.0  # seconds
MAX_CUT = 3  # requests that guidellm may cut when it ends

BYTES = 256
END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Report:
    """The medians that a load generator reports, in seconds."""

    ttft: float
    itl: float


@dataclass(frozen=True, slots=True)
class Tool:
    """A load generator: its command line for a port, a folder of its own and the folder of a
    tokenizer, and how to read the report that it leaves in its folder."""

    name: str
    command: Callable[[int, Path, Path], list[str]]
    read: Callable[[Path], Report]


def metrics_of(tool: Tool) -> tuple[Metric, Metric, Metric]:
    """The metrics of one load generator, and of the server that it asked."""
    return (
        Metric(f"{tool.name}_ttft", f"time to first token by {tool.name}, off `ttft`", "%"),
        Metric(f"{tool.name}_itl", f"inter-token latency by {tool.name}, off `itl`", "%"),
        Metric(f"{tool.name}_late", f"99 of 100 steps for {tool.name} late by at most", "s"),
    )


def measure(bench: Bench) -> list[Measurement]:
    """Run each load generator against a paced server."""
    found: list[Measurement] = []
    for tool in TOOLS:
        bench.show_progress(tool.name)
        metrics = metrics_of(tool)
        try:
            report, late = _run(bench, tool)
        except (CannotStartError, WrongAnswerError) as exc:
            found += [Measurement(metric, None, str(exc)) for metric in metrics]
        else:
            off = (report.ttft / LOAD_TOOL_TTFT - 1, report.itl / LOAD_TOOL_ITL - 1)
            found += map(Measurement, metrics, (*map(abs, off), late))
    return found


def _run(bench: Bench, tool: Tool) -> tuple[Report, float]:
    """Return what the load generator reports, and how late the steps of the server were."""
    if shutil.which(tool.name) is None:
        raise CannotStartError(f"{tool.name} is not on the PATH: pip install {tool.name}")
    folder = bench.files.folder / tool.name
    tokenizer = bench.files.folder / "tokenizer"
    folder.mkdir(exist_ok=True)
    write_tokenizer(tokenizer)
    with bench.started(OURS, "one_for_load_tools") as running:
        try:
            subprocess.run(  # noqa: S603  # the command line is ours
                tool.command(running.port, folder, tokenizer),
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=MAX_RUN,
                check=True,
            )
        except subprocess.CalledProcessError as exc:
            last = (exc.stderr or exc.stdout).strip().splitlines()[-1:]
            raise WrongAnswerError(f"{tool.name} failed: {''.join(last)[-200:]}") from exc
        except subprocess.TimeoutExpired as exc:
            raise WrongAnswerError(f"{tool.name} took more than {MAX_RUN:.0f} s") from exc
        late = exchange.read_late(running.port)
    return tool.read(folder), late


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of `transformers` that splits a text into bytes."""
    vocabulary = {symbol: number for number, symbol in enumerate(_byte_symbols())}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": BYTES, "content": END_OF_TEXT, "special": True, **_PLAIN_TOKEN}],
        "pre_tokenizer": {**byte_level, "trim_offsets": True, "use_regex": True},
        "decoder": {**byte_level, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
    }
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


_PLAIN_TOKEN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def _byte_symbols() -> list[str]:
    """The characters that stand for the 256 bytes in a byte-level vocabulary: printable ones for
    themselves, and the others, in order, for those from U+0100 on."""
    beyond = count(BYTES)
    return [
        chr(byte if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or byte >= 0xAE else next(beyond))
        for byte in range(BYTES)
    ]


# --- the load generators -------------------------------------------------------------------------


def _aiperf(port: int, folder: Path, tokenizer: Path) -> list[str]:
    return [
        *("aiperf", "profile", "--url", f"http://127.0.0.1:{port}"),
        *("--model", "mock", "--api-key", "any", "--endpoint-type", "chat", "--streaming"),
        *("--tokenizer", str(tokenizer), "--use-server-token-count"),
        *("--request-rate", str(RATE), "--arrival-pattern", "constant"),
        *("--request-count", str(REQUESTS), "--ui", "none"),
        *("--prompt-input-tokens-mean", "100"),
        *("--prompt-output-tokens-mean", str(LOAD_TOOL_TOKENS)),
        *("--output-artifact-dir", str(folder)),
    ]


def _read_aiperf(folder: Path) -> Report:
    report = _read_json(folder / "profile_export_aiperf.json")
    if report["request_count"]["avg"] != REQUESTS:
        raise WrongAnswerError(f"{report['request_count']['avg']} of {REQUESTS} answers")
    ttft, itl = (report[name]["p50"] for name in ("time_to_first_token", "inter_token_latency"))
    return Report(ttft / 1000, itl / 1000)


def _guidellm(port: int, folder: Path, tokenizer: Path) -> list[str]:
    target = f"target=http://127.0.0.1:{port},model=mock,api_key=any"
    tokens = f"prompt_tokens=100,output_tokens={LOAD_TOOL_TOKENS}"
    return [
        *("guidellm", "run", "--backend", f"kind=openai_http,{target}"),
        *("--profile", f"kind=constant,rate={RATE}"),
        *("--constraint", f"kind=max_requests,count={REQUESTS}"),
        *("--tokenizer", f"kind=hf_auto,model={tokenizer}"),
        *("--data", f"kind=synthetic_text,{tokens}"),
        *("--output", f"kind=json,path={folder / 'report.json'}"),
        "--disable-console-interactive",
    ]


def _read_guidellm(folder: Path) -> Report:
    (run,) = _read_json(folder / "report.json")["benchmarks"]
    metrics = run["metrics"]
    ttft, itl = (
        metrics[name]["successful"] for name in ("time_to_first_token_ms", "inter_token_latency_ms")
    )
    totals = metrics["request_totals"]
    if totals["errored"] or totals["successful"] < REQUESTS - MAX_CUT:
        raise WrongAnswerError(f"{totals['successful']} of {REQUESTS} answers")
    return Report(ttft["median"] / 1000, itl["median"] / 1000)


def _read_json(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(path.read_bytes())
    return found


TOOLS = (Tool("aiperf", _aiperf, _read_aiperf), Tool("guidellm", _guidellm, _read_guidellm))
