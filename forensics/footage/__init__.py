"""Find, identify, probe and decode footage. Only this package touches FFmpeg."""
