"""Run the notebooks in place: `python notebooks/execute.py [NAME...]`, or `make notebooks`.

The sample is scanned once for all of them, so that their figures are those of the cascade that is
bundled now. What is written holds no times, counts of executions or versions: the same figures,
the same file.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
SAMPLE = FOLDER.parent / "datasets" / "sample"
RUN = "FORENSICS_SAMPLE_RUN"
TIMEOUT_S = 600


def scan_sample(out: Path) -> None:
    """Scan the bundled sample with the bundled cascade."""
    command = [sys.executable, "-m", "forensics.cli.main", "scan", str(SAMPLE), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def execute(path: Path, run: Path) -> Any:
    """The notebook with fresh outputs; an error in a cell is raised. The file stays as it is."""
    notebook = nbformat.read(path, as_version=4)
    environment = os.environ | {RUN: str(run)}
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(env=environment)
    return clean(notebook)


def clean(notebook: Any) -> Any:
    """Leave out what differs from one run to the next without a meaning."""
    notebook.metadata = {"kernelspec": dict(notebook.metadata["kernelspec"])}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for output in cell.outputs if not _is_log(output)]
            for output in cell.outputs:
                if "execution_count" in output:
                    output["execution_count"] = None
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = in_few_colours(output.data["image/png"])
    return notebook


def in_few_colours(png: str) -> str:
    """A base64 PNG with a palette of 256 colours: a third of the size, and plots look the same."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        reduced = picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
        reduced.save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _is_log(output: Any) -> bool:
    return output.output_type == "stream" and output.name == "stderr"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: all")
    names = parser.parse_args().names or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(os.environ.get(RUN) or Path(folder) / "sample-run")
        if not (run / "run.json").is_file():
            scan_sample(run)
        for name in names:
            path = FOLDER / f"{Path(name).stem}.ipynb"
            notebook = execute(path, run)
            nbformat.write(notebook, path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
