//! Request → verdict.
//!
//! Owns the rules, the semantic detectors, the decoded views and the score. A verdict depends on the
//! request and its reply alone: no history, no order, no clock. Must not know: packets, flows, origins, files
//! other than rule files.

pub mod finding;

use std::net::SocketAddr;

use crate::config::Settings;
use crate::model::attempt::{Judgement, Outcome};
use crate::model::class::Class;
use crate::protocol::request::Request;

/// What a request was judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// An attack.
    Attack(Judgement),
    /// No attack.
    Clean,
    /// Only excepted rules call it an attack.
    Excepted,
    /// Scored, but below the threshold.
    Suspicious,
}

/// Buffers that one worker reuses from request to request.
#[derive(Debug, Default)]
pub struct Scratch {}

/// The compiled detection set; shared by all workers.
#[derive(Debug)]
pub struct Detector {
    set_hash: String,
}

/// Why a detection set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// A rule file cannot be read or is wrong.
    #[error("{file}: {complaint}")]
    Rules {
        /// The file, or `built-in`.
        file: String,
        /// What was found and what would be right.
        complaint: String,
    },
}

impl Detector {
    /// Compiles the built-in rules and those of `settings.detect.rules`.
    pub fn new(_settings: &Settings) -> Result<Self, DetectError> {
        Ok(Self { set_hash: String::new() })
    }

    /// Judges a request that was sent to `server`.
    pub fn judge(&self, _request: &Request<'_>, _server: SocketAddr, _scratch: &mut Scratch) -> Verdict {
        Verdict::Clean
    }

    /// What became of an attempt, as far as the reply shows it.
    pub fn outcome(&self, _class: Class, _status: Option<u16>, _body_start: &[u8]) -> Outcome {
        Outcome::Attempted
    }

    /// Hash of the whole set (rules, weights, versions of the detectors): a change is a break in the series.
    pub fn set_hash(&self) -> &str {
        &self.set_hash
    }
}
