"""The only process near the hardware: reads modules, grades every sample, acts only behind interlocks."""
