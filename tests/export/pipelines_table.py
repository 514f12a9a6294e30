"""The table of docs/models.md, made of the adapters.

python tests/export/pipelines_table.py     # writes it into the page
"""

from __future__ import annotations

from pathlib import Path

from adagen_rt.export.diffusers.registry import ADAPTERS

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- pipelines: begin -->\n", "<!-- pipelines: end -->\n"
HEAD = "| pipeline | asked for | guidance | schedulers | steps, guidance scale |\n" + "| --- " * 5


def table():
    rows = [HEAD + "|"]
    for name, adapter in ADAPTERS.items():
        texts = [
            f"{text.length or 77} tokens of {adapter_class(adapter, text)}"
            for text in adapter.texts
        ]
        schedulers = ", ".join(one.removesuffix("Scheduler") for one in adapter.schedulers)
        asked = "; ".join(texts) or "a class"
        usual = f"{adapter.steps}, {adapter.scale:g}"
        rows.append(f"| `{name}` | {asked} | {adapter.guidance} | {schedulers} | {usual} |")
    return "\n".join(rows) + "\n"


def adapter_class(adapter, text):
    kind = adapter.networks[text.tokenizer.replace("tokenizer", "text_encoder")]
    return kind.removesuffix("WithProjection")


def page(text):
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}{CHECKED}\n{table()}{END}{rest.split(END)[1]}"


CHECKED = """\
Checked with tiny pipelines of each class (diffusers 0.42, transformers 5.24, PyTorch 2.13): latents
within 1e-3 of their deviation, images within 1 of 255, at two numbers of steps, two guidance
scales, one image and three; plans of TensorRT for RTX were built. None was run at full size yet
([what was](../benchmarks/results/full_size.md#pipelines-of-diffusers)).
"""

if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
