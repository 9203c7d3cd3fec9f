"""Parts from which spaces are composed: choices, stages of blocks, cells."""
