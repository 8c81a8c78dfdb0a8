"""Days and hours: read as people of three languages write them, counted exactly, and written again."""
