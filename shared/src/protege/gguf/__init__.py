"""GGUF: the files that base models come in and specialists are written to.

Takes the path of a GGUF file. `header` reads its metadata without the weights; `names` maps its tensors to
transformers' parameters; `reading` keeps loaders from parsing it more than once; `writer` copies it with some tensors
replaced. Never changes the file that it reads, and never writes an architecture whose map is not proven.
"""
