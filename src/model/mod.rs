//! The vocabulary: types that cross rooms.
//!
//! Owns the words every stage uses (time, class, grade, country, period, attempt). It does no I/O,
//! reads no clock and imports no room.

pub mod attempt;
pub mod class;
pub mod contact;
pub mod frame;
pub mod grade;
pub mod marks;
pub mod memory;
pub mod origin;
pub mod period;
pub mod place;
pub mod progress;
pub mod pseudonym;
pub mod stream;
pub mod surge;
pub mod time;
