"""The engine that Protégé brings along: llama.cpp's server from the `xllamacpp` wheel, in child processes."""
