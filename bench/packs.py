"""Line c: readings per second when one signature covers an hour of a load curve, one value a minute."""

from bench.figure import Figure, at_least
from bench.flood import flood
from bench.stage import Stage

MEASUREMENTS = 60
READINGS_MIN = 500_000


def figures(stage: Stage) -> list[Figure]:
    """Line c."""
    run = flood(
        stage,
        meters=stage.sizes.pack_meters,
        parts=stage.sizes.pack_parts,
        measurements=MEASUREMENTS,
    )
    return [
        Figure(
            "c",
            "readings in packs of 60",
            run.rate * MEASUREMENTS,
            "readings/s",
            at_least(READINGS_MIN),
        ),
        Figure("c", "records of 60 readings", run.rate, "records/s"),
        Figure("c", "c / (a at this message size x 60)", run.rate / run.alone, ""),
        Figure("c", "one record on the wire", run.record_bytes, "B"),
        Figure("c", "disk bytes / wire bytes", run.disk.files / run.wire_bytes, ""),
    ]
