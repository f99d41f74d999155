//! Hand-off.
