"""The five fields of use: what each example needs, how it is prepared, and the streams that its bundle runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        name: Its folder's.
        about: The field and the streams, in a line.
        recordings: Folder of real recordings below `--data`; None where everything is generated.
        prepares: Whether it has a script that writes its data; the street simulator draws for `edge train` itself.
        short: Options of that script for a quick look.
        manifest: What is replayed as streams, below the prepared data; None where the simulator makes them.
        label: Column of that manifest with the right answer.
        fault: What breaks while it is replayed.
    """

    name: str
    about: str
    recordings: str | None = None
    prepares: bool = True
    short: tuple[str, ...] = ()
    manifest: str | None = MANIFEST
    label: str = ""
    fault: str = ""

    @property
    def folder(self) -> Path:
        """Where its project, rig and scripts are."""
        return HERE / self.name


EXAMPLES = {
    example.name: example
    for example in (
        Example(
            "street",
            "driving: camera, lidar and microphone",
            prepares=False,
            manifest=None,
            fault="lidar:stall@5s+5s",
        ),
        Example(
            "av_digits",
            "media: picture and spoken word",
            recordings="",
            short=("--train", "640", "--validation", "80", "--test", "200", "--replayed", "200"),
            manifest=f"replay/{MANIFEST}",
            label="digit",
            fault="audio:stall@10s+10s",
        ),
        Example(
            "bearing",
            "industry: two vibration channels and slow sensors",
            short=("--machines", "10"),
            label="fault",
            fault="drive:stall@20s+20s",
        ),
        Example(
            "medicine",
            "medicine: picture, report and blood values",
            short=("--patients", "400"),
            label="diagnosis",
            fault="report:stall@20s+20s",
        ),
        Example(
            "occupancy",
            "buildings: climate, light and CO2 of a room",
            recordings="occupancy",
            short=("--every", "8"),
            label="state",
            fault="light:stall@300min+120min",
        ),
    )
}
