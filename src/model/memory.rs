//! How the memory limit is divided: one table of shares, which together are the whole.
//!
//! A share is handed to whoever fills it, who turns it into numbers of entries by what one entry takes. Beside the limit are the
//! capture ring, the databases, the rules, and what waits to be written while the store cannot be.

/// Parts that the limit is divided into.
const PARTS: usize = 64;

/// What has a share of the limit. Those of the packet path are divided again between the workers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Share {
    /// Windows of sources: scans, logins, floods.
    Behaviours,
    /// UDP conversations.
    Datagrams,
    /// Counters of floods.
    Floods,
    /// TCP conversations.
    Flows,
    /// Fragments of IP datagrams.
    Fragments,
    /// Bytes that TCP conversations hold: out of order, in parsers, attempts whose reply is awaited.
    Held,
    /// Identities of attempts.
    Identities,
    /// Open incidents.
    Incidents,
    /// Event lines of incidents that wait.
    Lines,
    /// Origins that were looked up lately.
    Origins,
    /// First contacts that wait for an answer, requests that are watched for being slow.
    Waiting,
}

impl Share {
    /// Every share, and how many parts it has. Invariant: together they are all parts.
    const TABLE: [(Self, usize); 11] = [
        (Self::Behaviours, 8),
        (Self::Datagrams, 8),
        (Self::Floods, 4),
        (Self::Flows, 14),
        (Self::Fragments, 1),
        (Self::Held, 8),
        (Self::Identities, 8),
        (Self::Incidents, 4),
        (Self::Lines, 2),
        (Self::Origins, 4),
        (Self::Waiting, 3),
    ];

    /// Every share.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::TABLE.into_iter().map(|(share, _)| share)
    }

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Behaviours => "behaviours",
            Self::Datagrams => "datagrams",
            Self::Floods => "floods",
            Self::Flows => "flows",
            Self::Fragments => "fragments",
            Self::Held => "held",
            Self::Identities => "identities",
            Self::Incidents => "incidents",
            Self::Lines => "lines",
            Self::Origins => "origins",
            Self::Waiting => "waiting",
        }
    }

    /// Bytes of a limit that it has.
    pub fn of(self, limit_bytes: usize) -> usize {
        let parts = Self::TABLE.iter().find(|(share, _)| *share == self).map_or(0, |(_, parts)| *parts);
        limit_bytes / PARTS * parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_the_whole_and_each_has_one_row() {
        assert_eq!(Share::TABLE.iter().map(|(_, parts)| parts).sum::<usize>(), PARTS);
        for (at, (share, parts)) in Share::TABLE.iter().enumerate() {
            assert!(*parts > 0 && *share as usize == at, "{share:?}");
        }
        let limit = (32 << 20) + 17;
        assert!(Share::TABLE.iter().map(|(share, _)| share.of(limit)).sum::<usize>() <= limit);
    }
}
