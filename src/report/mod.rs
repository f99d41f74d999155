//! Snapshot → durable store and rotated files. One thread.
