//! Pseudonyms of addresses, under a key that changes each calendar month and cannot be turned back.
//!
//! The key of a month is the hash of the key of the month before. Whoever holds the present key can make next month's, but none
//! of an earlier one: what was written then can no longer be tried out address by address.

use std::net::{IpAddr, Ipv6Addr};

use sha2::{Digest, Sha256};

use crate::model::period::{Period, PeriodKind};
use crate::model::time::{MICROS_PER_DAY, Timestamp};

/// How long after its end the key of a month is still at hand, for attempts that are judged late.
pub const KEY_KEPT_MICROS: i64 = 2 * MICROS_PER_DAY;
/// Months that one step may pass over: a time stamp far in the future must not cost more.
const MONTHS_MAX: usize = 1_200;

/// A key and the month it is of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MonthKey {
    /// The month; none until the first attempt.
    pub month: Option<Period>,
    /// The key.
    pub key: [u8; 32],
}

impl MonthKey {
    /// The key of the month of `time`; the present one where that month is over.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> Self {
        let wanted = Period::containing(PeriodKind::Month, time);
        let mut key = Self { month: Some(self.month.unwrap_or(wanted)), key: self.key };
        for _ in 0..MONTHS_MAX {
            match key.month {
                Some(month) if month < wanted => {
                    let mut hash = Sha256::new();
                    hash.update(b"gatewatch, the month after");
                    hash.update(key.key);
                    key = Self { month: Some(month.next()), key: hash.finalize().into() };
                }
                _ => break,
            }
        }
        key
    }

    /// The pseudonym of an address: an IPv6 /64 of the unique local range (RFC 4193), so that whoever reads addresses can
    /// read it. 56 bits: among a million sources two are taken for one once in a hundred thousand months.
    pub fn address(&self, address: IpAddr) -> IpAddr {
        let octets = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            // A single host commands a whole /64.
            IpAddr::V6(v6) => (v6.to_bits() & (u128::MAX << 64)).to_be_bytes(),
        };
        let word = u128::from(self.word(&octets)) & ((1 << 56) - 1);
        IpAddr::V6(Ipv6Addr::from_bits(0xfd << 120 | word << 64))
    }

    /// A number in place of another that could be traced back to an address.
    pub fn number(&self, number: u64) -> u64 {
        self.word(&number.to_be_bytes())
    }

    fn word(&self, bytes: &[u8]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(bytes);
        hash.finalize().first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse::<Period>().unwrap().start()
    }

    #[test]
    fn a_source_has_one_pseudonym_a_month_and_another_the_next() {
        let begin = MonthKey { month: None, key: [7; 32] }.at(at("2012-06-03"));
        let of = |key: &MonthKey, text: &str| key.address(text.parse().unwrap()).to_string();
        assert_eq!(begin.month.unwrap().to_string(), "2012-06");
        assert_eq!(of(&begin, "192.0.2.1"), of(&begin.at(at("2012-06-30")), "192.0.2.1"));
        assert_eq!(of(&begin, "2001:db8::1"), of(&begin, "2001:db8::2"), "one /64");
        let next = begin.at(at("2012-07-01"));
        assert_ne!(of(&begin, "192.0.2.1"), of(&next, "192.0.2.1"));
        assert_eq!(begin.at(at("2012-09-01")), next.at(at("2012-09-01")), "the same whatever the steps");
        assert_eq!(next.at(at("2012-06-01")), next, "a month that is over has no key any more");
        assert!(of(&next, "192.0.2.1").starts_with("fd"));
    }
}
