"""Tune: a small model is taught one task.

Takes a curated data set, the task and a base (a GGUF file, or a folder in Hugging Face form); gives LoRA weights for
peft and for llama.cpp, and the merged GGUF, with the settings and hashes that they were made from. Never takes rows
that `curate` did not make, never reads calibration or test rows, never changes the base's file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
