"""Stand-ins for what Cradle imports on a desktop with a GPU: Python loads this file before it, from PYTHONPATH.

They replace its perception (segmentation, detection, OCR) and macOS's windows; nothing of its own code is changed.
What is told beside any figure: `REPLACED` in study.py.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import platform
import sys
import types
from typing import Any

EMPTY = ("torch", "torchvision", "spacy", "easyocr", "supervision", "groundingdino")
"""Imported, and not reached in the runs on applications."""


class Anything:
    """What a stand-in gives for each name: a class that takes all arguments and does nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None: ...


class StandIn(types.ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Anything,), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives stand-ins for the modules of EMPTY and all below them."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname.partition(".")[0] in EMPTY else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = StandIn(spec.name)
        module.__path__ = []  # others lie below it
        return module

    def exec_module(self, module: types.ModuleType) -> None: ...


class Outlines:
    """In the place of Segment Anything's mask generator: boxes around what has an outline."""

    def __init__(self, model: Any, **settings: Any) -> None: ...

    def generate(self, image: Any) -> list[dict[str, Any]]:
        import cv2  # pyright: ignore[reportMissingImports] - in the agent's environment
        import numpy as np

        edges = cv2.Canny(cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY), 40, 120)
        joined = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, np.ones((3, 11), np.uint8))
        shapes, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        boxes = sorted(map(cv2.boundingRect, shapes), key=lambda box: -box[2] * box[3])
        return [_mask(image.shape[:2], box) for box in boxes[:30] if box[2] * box[3] >= 80]


def _mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> dict[str, Any]:
    import numpy as np

    x, y, width, height = box
    inside = np.zeros(size, bool)
    inside[y : y + height, x : x + width] = True
    return {
        "segmentation": inside,
        "area": width * height,
        "bbox": list(box),
        "predicted_iou": 1.0,
        "stability_score": 1.0,
    }


class Model:
    """In the place of Segment Anything's network."""

    def __init__(self, checkpoint: str | None = None) -> None: ...

    def to(self, device: str) -> Model:
        return self


def segmentation() -> types.ModuleType:
    module = types.ModuleType("segment_anything")
    module.__dict__.update(SamPredictor=Anything, SamAutomaticMaskGenerator=Outlines)
    module.__dict__["sam_model_registry"] = dict.fromkeys(("default", "vit_h", "vit_l", "vit_b"), Model)
    return module


def windows() -> types.ModuleType:
    """macOS's list of windows: one, that fills the screen."""
    module = types.ModuleType("Quartz")
    name = os.environ.get("STAND_IN_WINDOW", "Google Chrome")
    bounds = {"X": 0, "Y": 0, "Width": 1920, "Height": 1080}
    window = {"kCGWindowOwnerName": name, "kCGWindowName": name, "kCGWindowOwnerPID": 1, "kCGWindowBounds": bounds}
    for constant in ("kCGWindowListOptionAll", "kCGWindowListOptionOnScreenOnly", "kCGNullWindowID"):
        module.__dict__[constant] = 0
    module.__dict__["CGWindowListCopyWindowInfo"] = lambda option, window_id: [window]
    return module


def on_macos_for_windows_alone() -> None:
    """Cradle's window code knows Windows and macOS: it alone is told that this is macOS."""
    system = platform.system

    def told() -> str:
        asking = sys._getframe(1).f_globals.get("__name__", "")
        return "Darwin" if asking == "cradle.gameio.gui_utils" else system()

    platform.system = told


sys.meta_path.insert(0, Finder())
sys.modules.update(segment_anything=segmentation(), Quartz=windows())
on_macos_for_windows_alone()
