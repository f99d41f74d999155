//! Frames with timestamps.
