"""Task queues whose tasks report themselves. Programs import them from `statushub.integrations`."""
