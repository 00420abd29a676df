"""What a person sees and is asked: text, tables, sentences, questions. Only this folder imports rich."""
