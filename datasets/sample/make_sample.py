"""Make the sample clips: cut real footage, plant rendered objects in some of it, write the truth.

The sources (vtest.avi, cup.mp4, box.mp4) come with Debian's opencv-doc package:

    apt-get install opencv-doc
    mkdir source
    cp /usr/share/doc/opencv-doc/examples/data/vtest.avi source/
    zcat /usr/share/doc/opencv-doc/opencv4/html/cup.mp4.gz > source/cup.mp4
    zcat /usr/share/doc/opencv-doc/opencv4/html/box.mp4.gz > source/box.mp4
    python make_sample.py --source source
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from planting import footage, truth  # noqa: E402
from planting.clips import CLIPS, Clip  # noqa: E402


def make(clip: Clip, source: Path, target: Path, samples: int) -> truth.Record:
    """Cut, plant and encode one clip; its record carries the timestamps read back from the file."""
    from planting.scene import planted_frames

    boxes: dict[int, truth.Box] = {}
    if clip.plant is None:
        frames = list(footage.read(source, clip.cut))
    else:
        frames, boxes = planted_frames(clip, source, samples)
    name = f"{clip.name}.mp4"
    footage.write(target / name, frames, clip.crf)
    times = footage.timestamps(target / name)
    if len(times) != len(frames):
        raise ValueError(f"{name}: wrote {len(frames)} frames, read back {len(times)}")
    worst = max(abs(float(a[1] - b[0])) for a, b in zip(times, frames, strict=True))
    if worst > 0.001:
        raise ValueError(f"{name}: timestamps moved by {worst:.4f} s")
    return truth.Record(name, *clip.cut.size, times, boxes)


def _earlier(target: Path, made: dict[str, truth.Record]) -> dict[str, truth.Record]:
    """The records of the clips that were not made anew."""
    path = target / "truth" / "truth.coco.json"
    names = [f"{clip.name}.mp4" for clip in CLIPS if f"{clip.name}.mp4" not in made]
    if not path.exists() or not names:
        return {}
    times = {name: footage.timestamps(target / name) for name in names if (target / name).exists()}
    return truth.read_coco(path, times)


def main() -> None:
    """Parse the command line and make the clips."""
    parser = argparse.ArgumentParser(description="Make the sample clips and their truth.")
    parser.add_argument(
        "--source", type=Path, required=True, help="folder with vtest.avi, cup.mp4 and box.mp4"
    )
    parser.add_argument(
        "--target", type=Path, default=HERE, help="where the clips go (default: beside this script)"
    )
    parser.add_argument(
        "--only", action="append", metavar="CLIP", help="make this clip only (may be repeated)"
    )
    parser.add_argument("--samples", type=int, default=20, help="samples a pixel (default 20)")
    parser.add_argument(
        "--jobs", type=int, default=2, help="clips made at the same time (default 2)"
    )
    args = parser.parse_args()
    wanted = [clip for clip in CLIPS if not args.only or clip.name in args.only]
    unknown = set(args.only or ()) - {clip.name for clip in CLIPS}
    if unknown:
        parser.error(f"no such clip: {', '.join(sorted(unknown))}")
    (args.target / "truth").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        futures = [
            pool.submit(make, clip, args.source, args.target, args.samples) for clip in wanted
        ]
        made = {record.file: record for record in (future.result() for future in futures)}
    known = {**_earlier(args.target, made), **made}
    records = [known[f"{clip.name}.mp4"] for clip in CLIPS if f"{clip.name}.mp4" in known]
    truth.write_spans(args.target / "truth" / "spans.csv", records)
    truth.write_coco(args.target / "truth" / "truth.coco.json", records)
    for record in made.values():
        print(f"{record.file}: {len(record.times)} frames, {len(record.boxes)} boxes")


if __name__ == "__main__":
    main()
