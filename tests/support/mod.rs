//! What the tests of the built binary share: the generator, the sensor, the bed.

pub mod bed;
pub mod browser;
pub mod compare;
pub mod container;
pub mod daemon;
pub mod generator;
#[allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "says what it skips, and how long a real tool took"
)]
pub mod knock;
pub mod sensor;
pub mod talk;
pub mod tallies;
pub mod year;
