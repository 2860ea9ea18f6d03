"""The bundled model, from nothing: tokenizer, samples, training run, measurement."""
