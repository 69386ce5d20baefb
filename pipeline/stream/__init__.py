"""The stream: Faust hands over chunks of records; they are decoded, folded, priced, settled and flushed."""
