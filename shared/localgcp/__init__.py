"""localgcp: Google Cloud on this machine, for anyone's code. It knows nothing of labs."""
