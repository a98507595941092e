"""Rows of what bounds the size of updates."""

from __future__ import annotations

from tests.catalogue.row import Row, row
from tests.oracles import clips

ROWS: tuple[Row, ...] = (
    row(
        "clip",
        numbers={"max_delta": (1.0, 0.5)},
        required=("max_delta",),
        oracle=clips.clip,
        complex_numbers=False,
        edge={"max_delta": 0.0},
    ),
    row(
        "clip_by_global_norm",
        numbers={"max_norm": (1.0, 0.5)},
        required=("max_norm",),
        oracle=clips.clip_by_global_norm,
        edge={"max_norm": 0.0},
    ),
    row(
        "clip_by_block_rms",
        numbers={"threshold": (0.5, 0.25)},
        required=("threshold",),
        oracle=clips.clip_by_block_rms,
        edge={"threshold": 0.0},
    ),
    row(
        "adaptive_grad_clip",
        numbers={"clipping": (0.25, 0.125), "eps": (1e-3, 4.0)},
        required=("clipping",),
        oracle=clips.adaptive_grad_clip,
        needs_params=True,
        edge={"clipping": 0.0},
    ),
    row(
        "adaptive_grad_clip",
        "axis",
        static={"axis": -1},
        numbers={"clipping": (0.25, 0.125), "eps": (1e-3, 4.0)},
        required=("clipping",),
        oracle=None,
        needs_params=True,
    ),
)
