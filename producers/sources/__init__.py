"""Sources of works: files and URLs that a worker reads without trusting them."""
