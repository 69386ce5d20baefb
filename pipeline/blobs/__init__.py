"""Bytes that are too big for the stream: a folder or any store that fsspec knows, addressed by what they hold."""

from pipeline.blobs.media import Media, MediaError, MediaStore
from pipeline.blobs.store import BlobStore, File, open_blobs

__all__ = ["BlobStore", "File", "Media", "MediaError", "MediaStore", "open_blobs"]
