"""Capture: binlog to fsynced segments."""
def run(ctx):
    return []
