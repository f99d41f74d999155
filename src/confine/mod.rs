//! Least privilege: what the process gives up before it reads anything that others wrote.
//!
//! Owns capabilities, the rules on files and the list of system calls. Is told what may be read and written; tells what
//! holds and what this kernel cannot do. The kernel keeps all of it by the thread and hands it on to the threads that one
//! starts, so it is called while there is one thread only.
//! Must not know: settings, packets, why a folder is needed.

pub mod calls;
pub mod capability;
pub mod files;

use std::path::PathBuf;

/// A part of the confinement. Parts are closed in this order: the list of system calls forbids what the others need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Capabilities and whatever else would raise privileges.
    Capabilities,
    /// The file system, and TCP.
    Files,
    /// System calls.
    SystemCalls,
}

impl Part {
    /// Every part, in the order in which they are closed.
    pub const ALL: [Self; 3] = [Self::Capabilities, Self::Files, Self::SystemCalls];

    /// The name of its setting in `[confinement]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Files => "files",
            Self::SystemCalls => "system_calls",
        }
    }

    fn close(self, bounds: &Bounds) -> State {
        match self {
            Self::Capabilities => capability::give_up(bounds.task),
            Self::Files => files::close(bounds),
            Self::SystemCalls => calls::restrict(bounds.task),
        }
    }
}

/// What the process does from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Task {
    /// Reads interfaces, and opens one again that was away.
    Capture,
    /// Reads capture files.
    Replay,
}

/// What a process may do from now on.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// What it does.
    pub task: Task,
    /// Files and folders that it reads. One that is not there is passed over.
    pub readable: Vec<PathBuf>,
    /// Folders that it reads and writes.
    pub writable: Vec<PathBuf>,
    /// Parts that the operator left open.
    pub open: Vec<Part>,
}

/// How far a part is closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// As intended: what holds.
    Closed(String),
    /// Less than intended: what is missing and why.
    Degraded(String),
    /// Left open by the settings.
    Open,
}

/// A part and how far it is closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The part.
    pub part: Part,
    /// How far it is closed.
    pub state: State,
}

impl Outcome {
    /// A line for the operator.
    pub fn line(&self) -> String {
        let name = self.part.name();
        match &self.state {
            State::Closed(what) => format!("{name}: {what}"),
            State::Degraded(why) => format!("{name}: degraded, {why}"),
            State::Open => format!("{name}: left open by confinement.{name} = false"),
        }
    }

    /// Whether the operator gets less than the settings ask for.
    pub const fn is_degraded(&self) -> bool {
        matches!(self.state, State::Degraded(_))
    }
}

/// Gives up everything beyond the bounds. What this kernel or container cannot do is told, and costs only that part.
pub fn confine(bounds: &Bounds) -> Vec<Outcome> {
    let close = |part: Part| if bounds.open.contains(&part) { State::Open } else { part.close(bounds) };
    Part::ALL.into_iter().map(|part| Outcome { part, state: close(part) }).collect()
}
