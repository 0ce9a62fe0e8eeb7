"""One job kind a file: `run(spec, context) -> Result`, with no Celery and no SQL in it."""
