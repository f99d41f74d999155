//! Logins, inferred from the lengths of what passes after the change to encryption (RFC 4252).
//!
//! Both sides take turns: a request, its answer. So lengths are summed by turn, and nothing depends on how bytes were cut into
//! segments. Under known algorithms some lengths are certain: success is a packet of one byte, the shortest there is, and
//! `none` is the shortest request of an account. Its answer lists the methods and is no login (nothing was presented), but
//! shows how long a refusal is here.
//!
//! What lengths cannot tell: who the account is; whether a refused key was offered or signed with, so that keys are not counted
//! at all; a refused password of more than about fifty bytes from a key. OpenSSH pads passwords to 64 bytes, and 128 may be the
//! offer of an Ed25519 key as well: such requests are held back until the conversation shows what they were.

use crate::model::class::Class;
use crate::model::stream::Side;
use crate::protocol::Sink;
use crate::protocol::found::{At, Login};
use crate::protocol::ssh::lengths::Sealing;

/// Turns after which a login is no longer waited for: servers allow 20 tries at most (RFC 4252 §4 suggests it).
const TURNS_MAX: u16 = 48;
/// Requests held back: the tries that servers allow in one connection.
const UNSURE_MAX: usize = 20;
/// Payload of a success, RFC 4252 §5.1: its number alone.
const SUCCESS_BYTES: usize = 1;
/// Payload of a service acceptance of `ssh-userauth`.
const ACCEPTANCE_BYTES: usize = 17;
/// Payload of the shortest refusal: number, one method (`password`), a flag.
const REFUSAL_BYTES: usize = 14;
/// A `none` request without its padding, for an account without letters: lengths, number, service, method.
const NONE_INSIDE: usize = 1 + 31 + 4;
/// Longest `none` of an account of up to 12 letters: beyond it a lone request is rather a password.
const NONE_USUAL_INSIDE: usize = 48;
/// The offer of an Ed25519 key, the shortest of keys, in the same way.
const KEY_INSIDE: usize = 1 + 107 + 4;
/// A request that is longer than `none` by less than this is no key.
const KEY_EXCESS: usize = 64;
/// What OpenSSH pads a password to, where 64 bytes do not hold it.
const PADDED_INSIDE: usize = 128;

/// What a request held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Request {
    Key,
    Secret,
    Unsure,
}

/// A request of the client and its answer.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    number: u16,
    at: At,
    asked_bytes: usize,
    answered_bytes: usize,
    /// Of the answer, the first segment and the last.
    first_bytes: usize,
    last_bytes: usize,
}

/// The logins of one conversation.
#[derive(Debug)]
pub struct Logins {
    asked: Sealing,
    answered: Sealing,
    turn: Turn,
    /// The first request, taken for `none`.
    first: Turn,
    /// Encrypted bytes of `none`.
    none_inside: usize,
    /// Lengths that a refusal may have here.
    refusals: [usize; 2],
    /// A refusal that is told once the next request shows that it was no question.
    refused: Option<At>,
    /// An answer to a secret whose meaning is open.
    open: Option<(At, usize)>,
    /// Length of the latest answer of that kind after which the client went on: a question.
    question_bytes: usize,
    /// Requests refused that may have been keys, and how long they were.
    unsure: Vec<At>,
    unsure_inside: usize,
    /// Whether a secret was refused before.
    was_refused: bool,
    is_done: bool,
}

impl Logins {
    /// For directions sealed so: the client's, the server's.
    pub fn new((asked, answered): (Sealing, Sealing)) -> Self {
        Self {
            asked,
            answered,
            turn: Turn::default(),
            first: Turn::default(),
            none_inside: 0,
            refusals: [0; 2],
            refused: None,
            open: None,
            question_bytes: 0,
            unsure: Vec::new(),
            unsure_inside: 0,
            was_refused: false,
            is_done: false,
        }
    }

    /// Encrypted bytes of one side, in the order in which both sides' bytes passed.
    pub fn sealed(&mut self, from: Side, (at, bytes): (At, usize), sink: &mut dyn Sink) {
        if self.is_done {
            return;
        }
        match from {
            Side::Client => {
                if self.turn.answered_bytes > 0 {
                    self.settle(sink);
                    self.turn = Turn { number: self.turn.number + 1, ..Turn::default() };
                    self.is_done |= self.turn.number > TURNS_MAX;
                }
                if self.turn.asked_bytes == 0 {
                    self.turn.at = at;
                } else {
                    self.turn.at.frames = self.turn.at.frames.saturating_add(1);
                }
                self.turn.asked_bytes = self.turn.asked_bytes.saturating_add(bytes);
            }
            // What a server says unasked (its extensions) belongs to no turn.
            Side::Server if self.turn.asked_bytes > 0 => {
                if self.turn.answered_bytes == 0 {
                    self.turn.first_bytes = bytes;
                }
                self.turn.last_bytes = bytes;
                self.turn.answered_bytes = self.turn.answered_bytes.saturating_add(bytes);
            }
            Side::Server => {}
        }
    }

    /// The conversation is over.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        if self.is_done {
            return;
        }
        if self.turn.answered_bytes > 0 {
            self.settle(sink);
        }
        if let Some(at) = self.refused.take() {
            tell(at, Outcome::Refused, sink);
        }
        // The last try that a server allows is answered by a farewell instead of a refusal.
        if let Some((at, bytes)) = self.open.filter(|_| self.was_refused && self.turn.answered_bytes > 0)
            && bytes != self.question_bytes
        {
            tell(at, Outcome::Refused, sink);
        }
        // One may be a key. Two of one length are rather two passwords.
        if self.unsure.len() > 1 {
            self.tell_unsure(sink);
        }
        let inside = self.asked.inside(self.first.asked_bytes);
        if self.turn.number == 1 && self.first.asked_bytes > 0 && inside > NONE_USUAL_INSIDE {
            tell(self.first.at, Outcome::Refused, sink);
        }
    }

    /// A turn is complete.
    fn settle(&mut self, sink: &mut dyn Sink) {
        let turn = self.turn;
        let success = self.answered.packet_bytes(SUCCESS_BYTES);
        match turn.number {
            // The service is asked for. Who is refused it already is told nothing that could be judged.
            0 => self.is_done = turn.answered_bytes < self.answered.packet_bytes(ACCEPTANCE_BYTES),
            // A server may go on at once after a success, in a segment of its own.
            _ if turn.answered_bytes == success || turn.first_bytes == success => self.succeed(sink),
            1 => self.first_request(),
            _ => self.request(sink),
        }
    }

    fn first_request(&mut self) {
        self.first = self.turn;
        self.none_inside = self.asked.inside(self.turn.asked_bytes);
        // A banner or extensions may precede the refusal.
        self.refusals = [self.turn.answered_bytes, self.turn.last_bytes];
        self.is_done = self.turn.answered_bytes < self.answered.packet_bytes(REFUSAL_BYTES);
    }

    fn request(&mut self, sink: &mut dyn Sink) {
        let turn = self.turn;
        let inside = self.asked.inside(turn.asked_bytes);
        let is_answer = inside < self.none_inside;
        self.question_bytes = self.open.map_or(self.question_bytes, |open| open.1);
        if turn.number == 2 && inside <= self.none_inside {
            // Nothing is shorter than `none`: the first request held a secret already.
            tell(self.first.at, Outcome::Refused, sink);
            self.none_inside = inside.saturating_sub(NONE_INSIDE / 2);
            self.was_refused = true;
        } else if let Some(at) = self.refused.take().filter(|_| !is_answer) {
            // What is shorter than any request answers a question: then the turn before was that question, as long as a refusal.
            tell(at, Outcome::Refused, sink);
        }
        let is_refusal = self.refusals.contains(&turn.answered_bytes);
        match self.kind(inside) {
            Request::Key => self.open = None,
            Request::Unsure if is_refusal && self.unsure.len() < UNSURE_MAX => {
                if self.unsure_inside != inside {
                    self.unsure.clear();
                }
                self.unsure_inside = inside;
                self.unsure.push(turn.at);
            }
            Request::Unsure => {}
            Request::Secret if is_refusal => {
                (self.refused, self.open, self.was_refused) = (Some(turn.at), None, true);
            }
            Request::Secret => self.unknown_answer(sink),
        }
    }

    /// Two secrets in a row that get the same answer were refused; a question would stand between them.
    fn unknown_answer(&mut self, sink: &mut dyn Sink) {
        let answered = self.turn.answered_bytes;
        match self.open.take() {
            Some((at, bytes)) if bytes == answered && !self.was_refused => {
                tell(at, Outcome::Refused, sink);
                self.refusals = [answered; 2];
                (self.refused, self.was_refused) = (Some(self.turn.at), true);
            }
            _ => self.open = Some((self.turn.at, answered)),
        }
    }

    fn succeed(&mut self, sink: &mut dyn Sink) {
        self.is_done = true;
        if let Some(at) = self.refused.take() {
            tell(at, Outcome::Refused, sink);
        }
        // An offered key is answered by a question, so what succeeds at this length is a password, as were its like before.
        if self.asked.inside(self.turn.asked_bytes) == self.unsure_inside {
            self.tell_unsure(sink);
        }
        tell(self.turn.at, Outcome::Accepted, sink);
    }

    fn tell_unsure(&mut self, sink: &mut dyn Sink) {
        for at in self.unsure.drain(..) {
            tell(at, Outcome::Refused, sink);
        }
    }

    /// What a request of that length holds.
    fn kind(&self, inside: usize) -> Request {
        if inside < self.none_inside + KEY_EXCESS {
            return Request::Secret;
        }
        if inside != PADDED_INSIDE {
            return Request::Key;
        }
        // The length of `none` tells that of the account but for its padding.
        let letters_max = self.none_inside.saturating_sub(NONE_INSIDE);
        let block = self.asked.block_bytes;
        let letters_min = letters_max.saturating_sub(block - 1);
        let offer = |letters: usize| (KEY_INSIDE + letters).next_multiple_of(block);
        if (offer(letters_min)..=offer(letters_max)).contains(&inside) {
            Request::Unsure
        } else {
            Request::Secret
        }
    }
}

/// The fate of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Accepted,
    Refused,
}

fn tell(at: At, outcome: Outcome, sink: &mut dyn Sink) {
    let accepted = outcome == Outcome::Accepted;
    sink.login(&at, &Login { class: Class::AuthSsh, account: None, accepted, inferred: true });
}
