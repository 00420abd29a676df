"""What a person is asked to sign, and which bytes are signed for it."""
