"""The wallet as a model: its states, its certificate, its addresses."""
