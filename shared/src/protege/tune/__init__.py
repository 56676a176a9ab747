"""tune: a small model is taught one task.

Takes a curated data set, the task and a base (a GGUF file, or a folder in Hugging Face form); gives a specialist's
files, with the settings and hashes that they were made from. Each method is a file in methods/; other packages bring
theirs by the entry-point group `protege.tuners`. Never takes rows that `curate` did not make, never reads calibration
or test rows, never changes the base's file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
