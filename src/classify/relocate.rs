//! Where kept sources are by another database: by their address while it is kept, by most of their prefix afterwards.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::classify::geo::Geo;
use crate::classify::sector::{Home, is_unroutable};
use crate::model::grade::Grade;
use crate::model::place::{Basis, Place, Sector, SourceKey};

/// Prefixes whose place is kept at hand; when they are so many it is begun anew.
const PREFIXES_MAX: usize = 65_536;

/// What was kept of a source.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'k> {
    /// Its key as text, a pseudonym of it, or empty where it is gone.
    pub source: &'k str,
    /// Its prefix as text, or empty where that is gone as well.
    pub prefix: &'k str,
    /// Where it was put.
    pub place: Place,
    /// Its row of the statement, where that was kept.
    pub sector: Option<Sector>,
    /// How well its origin is proven.
    pub grade: Grade,
}

/// Where a source is now, and its row of the statement before and now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Relocated {
    /// Its row before.
    pub before: Sector,
    /// Where it is.
    pub place: Place,
    /// Its row.
    pub sector: Sector,
    /// What that rests on.
    pub basis: Basis,
}

/// Looks kept sources up.
#[derive(Debug)]
pub struct Relocator {
    geo: Geo,
    home: Home,
    prefixes: HashMap<IpNet, (Place, Basis), ahash::RandomState>,
}

impl Relocator {
    /// Asks `geo`; what is home stays home.
    pub fn new(geo: Geo, home: Home) -> Self {
        Self { geo, home, prefixes: HashMap::default() }
    }

    /// Where a source is.
    pub fn relocate(&mut self, kept: &Kept<'_>) -> Relocated {
        let before = kept.sector.unwrap_or_else(|| self.home.sector_of_place(kept.place, kept.grade));
        // A database has nothing to say on a client that nobody named, or on an address that could be forged.
        let asked = !matches!(kept.grade, Grade::E0 | Grade::X);
        if let Some(address) = address(kept).filter(|_| asked) {
            let place = self.geo.origin(SourceKey::of(address)).place;
            let sector = self.home.sector(address, place, kept.grade);
            return Relocated { before, place, sector, basis: Basis::Address };
        }
        match kept.prefix.parse::<IpNet>().ok().filter(|_| asked) {
            Some(prefix) => {
                let (place, basis) = self.place_of(prefix);
                let sector = self.sector_of(prefix, kept, (before, place));
                Relocated { before, place, sector, basis }
            }
            None => Relocated { before, place: kept.place, sector: before, basis: Basis::Nothing },
        }
    }

    /// The place of most of a prefix.
    fn place_of(&mut self, prefix: IpNet) -> (Place, Basis) {
        if let Some(known) = self.prefixes.get(&prefix) {
            return *known;
        }
        if self.prefixes.len() >= PREFIXES_MAX {
            self.prefixes.clear();
        }
        let found = if is_unroutable(prefix.network()) && is_unroutable(prefix.broadcast()) {
            (Place::Private, Basis::Prefix)
        } else {
            let places = self.geo.places_within(prefix);
            let basis = if places.len() > 1 { Basis::SplitPrefix } else { Basis::Prefix };
            // Of equal parts the first place decides, so that two recounts say the same.
            let largest = places.iter().rev().max_by_key(|(_, addresses)| **addresses);
            match largest {
                // An alias of IPv4 space (6to4, Teredo) holds no network of its own; a look-up follows it.
                Some((Place::Unknown, _)) | None if places.len() <= 1 => {
                    (self.geo.look_up(prefix.network()).place, basis)
                }
                Some((place, _)) => (*place, basis),
                None => (Place::Unknown, basis),
            }
        };
        self.prefixes.insert(prefix, found);
        found
    }

    /// The row of a source whose prefix alone is kept. Home networks go by address: what one of them made domestic, and no
    /// country, stays so.
    fn sector_of(&self, prefix: IpNet, kept: &Kept<'_>, (before, place): (Sector, Place)) -> Sector {
        let by_network = before == Sector::Domestic && !self.home.is_home(kept.place);
        if by_network || self.home.holds(prefix) {
            return Sector::Domestic;
        }
        self.home.sector_of_place(place, kept.grade)
    }
}

/// The address that a source's key stands for; none where it is gone, or a pseudonym. Pseudonyms lie in the unique local
/// addresses (RFC 4193), outside the prefix that is kept beside them; a true address of that space lies within.
fn address(kept: &Kept<'_>) -> Option<IpAddr> {
    let address: IpAddr = kept.source.strip_suffix("/64").unwrap_or(kept.source).parse().ok()?;
    let is_local = matches!(address, IpAddr::V6(v6) if v6.is_unique_local());
    let is_true = || kept.prefix.parse::<IpNet>().is_ok_and(|prefix| prefix.contains(&address));
    (!is_local || is_true()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::database::Database;

    fn relocator(settings: &str) -> Relocator {
        let home = Home::new(&toml::from_str(settings).unwrap());
        Relocator::new(Geo::new(vec![Database::embedded().unwrap()]), home)
    }

    fn kept<'k>(source: &'k str, prefix: &'k str, place: &str, sector: Sector) -> Kept<'k> {
        Kept { source, prefix, place: Place::from_code(place), sector: Some(sector), grade: Grade::E2 }
    }

    #[test]
    fn an_address_is_exact_and_a_prefix_stands_for_it_when_it_is_gone() {
        let mut relocator = relocator("home = [\"CN\"]");
        let mut told = |source: &str, prefix: &str| {
            let found = relocator.relocate(&kept(source, prefix, "FR", Sector::Overseas));
            (found.place.code().to_owned(), found.sector, found.basis)
        };
        let of = |code: &str, sector, basis| (code.to_owned(), sector, basis);
        assert_eq!(told("73.1.2.3", "73.1.2.0/24"), of("US", Sector::Overseas, Basis::Address));
        assert_eq!(
            told("2003:1000:1:2::/64", "2003:1000:1::/48"),
            of("DE", Sector::Overseas, Basis::Address)
        );
        assert_eq!(told("", "73.1.2.0/24"), of("US", Sector::Overseas, Basis::Prefix));
        assert_eq!(told("", "36.96.1.0/24"), of("CN", Sector::Domestic, Basis::Prefix));
        assert_eq!(told("", "2003:1000:1::/48"), of("DE", Sector::Overseas, Basis::Prefix));
        assert_eq!(told("", "10.1.2.0/24"), of("private", Sector::Private, Basis::Prefix));
        assert_eq!(told("", "93.0.0.0/8").2, Basis::SplitPrefix);
        assert_eq!(told("", ""), of("FR", Sector::Overseas, Basis::Nothing));
        assert_eq!(told("nonsense", "more of it"), of("FR", Sector::Overseas, Basis::Nothing));
    }

    #[test]
    fn a_pseudonym_is_no_address() {
        let mut relocator = relocator("home = [\"CN\"]");
        let mut told = |source: &str, prefix: &str| {
            let found = relocator.relocate(&kept(source, prefix, "FR", Sector::Overseas));
            (found.place.code().to_owned(), found.basis)
        };
        assert_eq!(told("fd12:3456:789a:bcde::/64", "73.1.2.0/24"), ("US".to_owned(), Basis::Prefix));
        assert_eq!(told("fd12:3456:789a:bcde::/64", ""), ("FR".to_owned(), Basis::Nothing));
        let local = ("private".to_owned(), Basis::Address);
        assert_eq!(told("fd12:3456:789a:bcde::/64", "fd12:3456:789a::/48"), local);
    }

    #[test]
    fn home_networks_and_what_cannot_be_proven_stay_what_they_are() {
        let mut relocator = relocator("home = [\"CN\"]\nhome_networks = [\"73.1.2.0/25\", \"73.9.0.0/16\"]");
        let mut sector = |kept: &Kept<'_>| relocator.relocate(kept).sector;
        assert_eq!(sector(&kept("73.1.2.3", "73.1.2.0/24", "US", Sector::Domestic)), Sector::Domestic);
        assert_eq!(sector(&kept("73.1.2.203", "73.1.2.0/24", "US", Sector::Overseas)), Sector::Overseas);
        assert_eq!(sector(&kept("", "73.1.2.0/24", "US", Sector::Domestic)), Sector::Domestic);
        assert_eq!(sector(&kept("", "73.1.2.0/24", "US", Sector::Overseas)), Sector::Overseas);
        assert_eq!(sector(&kept("", "73.9.2.0/24", "US", Sector::Overseas)), Sector::Domestic);
        let forged = Kept { grade: Grade::E0, ..kept("73.1.2.3", "73.1.2.0/24", "FR", Sector::Unprovable) };
        let proxied = Kept { grade: Grade::X, ..kept("73.1.2.3", "73.1.2.0/24", "proxy", Sector::Proxy) };
        for kept in [forged, proxied] {
            let found = relocator.relocate(&kept);
            assert_eq!((found.place, found.sector), (kept.place, kept.sector.unwrap()));
            assert_eq!(found.basis, Basis::Nothing);
        }
        let old = Kept { sector: None, ..kept("", "", "US", Sector::Overseas) };
        assert_eq!(relocator.relocate(&old).before, Sector::Overseas, "of a store that kept no rows");
    }
}
