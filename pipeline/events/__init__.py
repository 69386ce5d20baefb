"""The canonical events, their ids and keys, and the codecs from the wire formats to them."""
