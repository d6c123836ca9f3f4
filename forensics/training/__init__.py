"""The training loop: mine crops, group them, train both networks, calibrate, export, check."""
