//! How well the origin of an attempt is proven.

use std::fmt;

use serde::Serialize;

/// Grade of origin evidence, measured for each attempt from its own conversation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Grade {
    /// The source address could be forged: UDP, ICMP, a SYN without handshake, one direction only.
    E0,
    /// The TCP handshake was completed: the peer acknowledged our initial sequence number.
    E1,
    /// Two-way application exchange: the peer acknowledged bytes that the server sent.
    E2,
    /// The client address was taken from a trusted proxy.
    E3,
    /// The peer is a trusted proxy that gave no usable client address.
    X,
}

impl Grade {
    /// Every grade, in the order in which reports print them.
    pub const ALL: [Self; 5] = [Self::E0, Self::E1, Self::E2, Self::E3, Self::X];

    /// The name in files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::E0 => "E0",
            Self::E1 => "E1",
            Self::E2 => "E2",
            Self::E3 => "E3",
            Self::X => "X",
        }
    }

    /// The grade of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grade| grade.name() == name)
    }

    /// Whether the origin is proven well enough for the headline (E1, E2, E3).
    pub const fn is_proven(self) -> bool {
        matches!(self, Self::E1 | Self::E2 | Self::E3)
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
