//! What is known of where a source is.

use std::sync::Arc;

use ipnet::IpNet;

use crate::model::place::{Country, Place};

macro_rules! infrastructures {
    ($($variant:ident $name:literal $title:literal)*) => {
        /// What kind of network a source sits in. Told by a database or a list of the operator's, never guessed.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Infrastructure {
            $(#[doc = $title] $variant,)*
        }

        impl Infrastructure {
            /// Every class, in the order in which reports print them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in files and settings.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The title for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

infrastructures! {
    Bogon "bogon" "Unroutable address"
    Cdn "cdn" "Content delivery network"
    Eyeball "eyeball" "Access network of people"
    Hosting "hosting" "Hosting or cloud"
    Scanner "scanner" "Known honest scanner"
    Tor "tor" "Tor exit"
    Vpn "vpn" "VPN or proxy"
}

impl Infrastructure {
    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.name() == name)
    }
}

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
    /// The network prefix the database answered for.
    pub prefix: Option<IpNet>,
    /// What a second database with countries says, where there is one and both know the address.
    pub second: Option<Place>,
    /// What kind of network it is.
    pub infrastructure: Option<Infrastructure>,
}

impl Origin {
    /// An origin of which only the place is known.
    pub const fn of_place(place: Place) -> Self {
        Self {
            place,
            registered: None,
            continent: None,
            asn: None,
            as_org: None,
            prefix: None,
            second: None,
            infrastructure: None,
        }
    }

    /// Whether two databases put it into different countries.
    pub fn is_disputed(&self) -> bool {
        self.second.is_some_and(|second| second != self.place)
    }
}
