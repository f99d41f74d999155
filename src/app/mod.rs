//! Wiring: knows every room, decides nothing about packets.
