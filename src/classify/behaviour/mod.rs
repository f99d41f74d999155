//! Acts that are attacks only in company: judged by source, over time.

use crate::model::attempt::Attempt;
use crate::model::contact::{Contact, Surge};

/// The state machines of all sources.
#[derive(Debug, Default)]
pub struct Behaviours;

impl Behaviours {
    /// Takes a contact; adds to `judged` the attempts that it completes.
    pub fn contact(&mut self, _contact: &Contact, _judged: &mut Vec<Box<Attempt>>) {}

    /// Takes one second of a flood; adds to `judged` the attempts that it completes.
    pub fn surge(&mut self, _surge: &Surge, _judged: &mut Vec<Box<Attempt>>) {}
}
