"""The SDK. Programs import it from `statushub`; the modules here are private."""
