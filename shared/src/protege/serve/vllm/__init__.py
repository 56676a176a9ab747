"""vLLM: one base on a GPU server, and the LoRA weights of many specialists over it."""
