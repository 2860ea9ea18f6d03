"""The derived index: exact while small, quantised in layers when large. The only room with FAISS."""
