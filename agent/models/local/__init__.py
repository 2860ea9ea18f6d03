"""A Hugging Face model in this process: batching, prefix cache, adapters, identity."""
