"""Answers the bell: claims a job, runs it, records what it left behind."""
