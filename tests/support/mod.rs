//! What the tests of the built binary share: the generator, the sensor, the bed.

pub mod generator;
pub mod sensor;
