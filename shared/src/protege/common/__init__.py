"""What every room shares: hashes, progress bars, tracing, prices, files."""
