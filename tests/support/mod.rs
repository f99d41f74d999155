//! What the tests of the built binary share: the generator, the sensor, the bed.

pub mod bed;
pub mod browser;
pub mod compare;
pub mod container;
pub mod daemon;
#[allow(clippy::print_stderr, reason = "says what it skips")]
pub mod disk;
pub mod generator;
#[allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "says what it skips, and how long a real tool took"
)]
pub mod knock;
pub mod many;
pub mod run;
pub mod sensor;
pub mod talk;
pub mod tallies;
pub mod year;
