//! Wiring: knows every room, decides nothing about packets.

pub mod pipeline;
