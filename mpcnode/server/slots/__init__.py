"""Slots: numbers under which two connections meet that know nothing of each other but a code."""
