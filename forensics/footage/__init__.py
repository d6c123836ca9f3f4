"""Find, identify, probe and decode footage. Only this package and its child process touch FFmpeg."""
