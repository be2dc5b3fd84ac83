"""The editing session: segments, hints, undo and redo, locks, and a journal that survives a crash."""
