//! What is known of where a source is.

use std::sync::Arc;

use crate::model::place::{Country, Place};

/// Origin of a source. What no database tells is `None`, never guessed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Where it is located.
    pub place: Place,
    /// The country that the address block is registered in.
    pub registered: Option<Country>,
    /// Continent code (`EU`, `AS`, …).
    pub continent: Option<[u8; 2]>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// Organisation of the autonomous system.
    pub as_org: Option<Arc<str>>,
    /// The network prefix the database answered for, as text.
    pub prefix: Option<Arc<str>>,
}

impl Origin {
    /// An origin of which only the place is known.
    pub const fn of_place(place: Place) -> Self {
        Self { place, registered: None, continent: None, asn: None, as_org: None, prefix: None }
    }
}
