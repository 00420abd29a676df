"""The verbs: options and help of each. ``actions`` is what a verb does, and is loaded when the verb is called."""
