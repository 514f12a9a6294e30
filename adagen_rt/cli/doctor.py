"""`adagen-rt doctor`: a check of the installation."""

from __future__ import annotations

import json
from typing import Any

import click

from adagen_rt.backends import PRECISIONS
from adagen_rt.backends.tensorrt import MODULES
from adagen_rt.cli.support.checkup import examine
from adagen_rt.cli.support.tables import table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Show what is installed, what is usable, and what to type where something is missing.

    Exits with status 0 if images can be generated, otherwise with 1.
    """
    found = examine()
    click.echo(json.dumps(found) if as_json else _page(found))
    if not found["usable"]:
        context.exit(1)


def _page(found: dict[str, Any]) -> str:
    cpu, gpu, kernels, backends = (found[key] for key in ("cpu", "gpu", "kernels", "backends"))
    onnxruntime, openvino = backends["onnxruntime"], backends["openvino"]
    providers = ", ".join(onnxruntime["providers"])
    rows = [
        ("python", found["python"]),
        ("adagen-rt", found["adagen_rt"]),
        ("CPU", f"{cpu['machine']}: {', '.join(cpu['features']) or 'features unknown'}"),
        ("threads", str(cpu["threads"])),
        ("GPU", gpu["problem"] or f"compute capability {gpu['compute_capability']}"),
        ("kernels", kernels["problem"] or "built"),
        ("onnxruntime", onnxruntime["problem"] or f"{onnxruntime['version']}: {providers}"),
        ("openvino", openvino["problem"] or _precise(openvino)),
        *((name, backends[name]["problem"] or backends[name]["version"]) for name in MODULES),
        ("plugins", _listed(found["plugins"]) or "none of ONNX Runtime's is installed"),
        *((name, version or "not installed") for name, version in found["packages"].items()),
        ("engines", ", ".join(found["engines"]) or "none is shipped"),
        *(
            (f"plans of {name}", ", ".join(plans))
            for name, plans in found["plans"].items()
            if plans
        ),
        ("cache", found["cache"]),
        ("generate", "ready" if found["usable"] else "not possible yet, see above"),
    ]
    return table(("part", "state"), rows)


def _precise(openvino: dict[str, Any]) -> str:
    """Name the precisions too; where there is bfloat16, it is what to take for speed."""
    *_, fastest = openvino["precisions"]
    hint = f"; fastest with --precision {fastest}" if fastest != PRECISIONS[0] else ""
    return f"{openvino['version']}: {', '.join(openvino['precisions'])}{hint}"


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
