//! The bounded lock-free channel from the capture workers to the classifier.
//!
//! Owns the policy of a full channel. Carries records, never packets. The only file of the packet path that
//! names crossbeam.

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::model::attempt::Attempt;
use crate::model::contact::{Contact, Surge};
use crate::model::progress::Progress;

/// Records the channel holds: at 2 KiB each 16 MiB at most, and 1.6 s of the 10,000 attempts a second that
/// one worker can be made to emit.
pub const CHANNEL_RECORDS: usize = 8_192;

/// Those of a replay, which waits where the channel is full and so keeps it full: 4 MiB at most.
pub const REPLAY_RECORDS: usize = 2_048;

/// What crosses.
#[derive(Debug)]
pub enum Record {
    /// A judged request.
    Attempt(Box<Attempt>),
    /// What became of a first contact or of a credential.
    Contact(Contact),
    /// How far a worker is.
    Progress(Box<Progress>),
    /// One second of a flood.
    Surge(Surge),
}

/// A record and the worker it comes from.
pub type Parcel = (usize, Record);

/// What to do when the channel is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenFull {
    /// Drop the record that would not fit, and count it: live capture is never blocked.
    DropNewest,
    /// Wait: a replay has all the time in the world.
    Wait,
}

/// The sending end of one worker.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: Sender<Parcel>,
    worker: usize,
    when_full: WhenFull,
}

/// A channel of `capacity` records.
pub fn channel(capacity: usize) -> (Sender<Parcel>, Receiver<Parcel>) {
    crossbeam_channel::bounded(capacity)
}

impl Outbox {
    /// The sending end of worker number `worker`.
    pub const fn new(sender: Sender<Parcel>, worker: usize, when_full: WhenFull) -> Self {
        Self { sender, worker, when_full }
    }

    /// From now on waits where the channel is full: capture has ended.
    pub const fn wait_when_full(&mut self) {
        self.when_full = WhenFull::Wait;
    }

    /// Sends a record; gives it back where the channel is full (and the policy is to drop) or gone.
    #[expect(
        clippy::result_large_err,
        reason = "a refused record is taken back or dropped at once; a box would cost each contact"
    )]
    pub fn send(&self, record: Record) -> Result<(), Record> {
        match self.when_full {
            WhenFull::Wait => self.sender.send((self.worker, record)).map_err(|refused| refused.0.1),
            WhenFull::DropNewest => {
                self.sender.try_send((self.worker, record)).map_err(|refused| match refused {
                    TrySendError::Full((_, record)) | TrySendError::Disconnected((_, record)) => record,
                })
            }
        }
    }
}

// The channel holds its records in place: what does not fit is boxed.
const _: () = assert!(size_of::<Record>() <= 144);
