//! Estimates of how many distinct sources and ports were seen in a second, in 400 bytes.

use std::net::IpAddr;

use crate::surge::table::word;

/// Registers of the source estimate: a standard error of 1.04 / √256, 6.5 %.
const REGISTERS: usize = 256;
/// Correction of that number of registers (Flajolet et al., 2007).
const ALPHA: f64 = 0.718_272_593_249_545_8;
/// Bits of the port estimate: it tells numbers apart up to about 7,000.
const PORT_BITS: usize = 1_024;
/// From so many bits on it only tells that there are very many.
const PORT_BITS_FULL: u16 = 1_020;

/// What one second showed.
#[derive(Debug)]
pub struct Sketch {
    registers: [u8; REGISTERS],
    ports: [u64; PORT_BITS / 64],
    /// Registers above zero.
    filled: u16,
    /// Bits set.
    port_bits: u16,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { registers: [0; REGISTERS], ports: [0; PORT_BITS / 64], filled: 0, port_bits: 0 }
    }
}

impl Sketch {
    /// Takes a packet.
    pub fn add(&mut self, hasher: &ahash::RandomState, source: IpAddr, port: u16) {
        let hash = hasher.hash_one(word(source));
        let rank = (hash >> 8).trailing_zeros().min(55) as u8 + 1;
        if let Some(register) = self.registers.get_mut((hash & 0xff) as usize)
            && rank > *register
        {
            self.filled += u16::from(*register == 0);
            *register = rank;
        }
        let bit = hasher.hash_one(port) as usize % PORT_BITS;
        if let Some(word) = self.ports.get_mut(bit / 64) {
            let mask = 1 << (bit % 64);
            self.port_bits += u16::from(*word & mask == 0);
            *word |= mask;
        }
    }

    /// Distinct source addresses.
    pub fn sources(&self) -> u32 {
        if f64::from(self.filled) < REGISTERS as f64 * 0.9 {
            return linear(self.filled, REGISTERS);
        }
        let sum: f64 = self.registers.iter().map(|rank| f64::from(*rank)).map(|rank| (-rank).exp2()).sum();
        whole(ALPHA * (REGISTERS * REGISTERS) as f64 / sum)
    }

    /// Whether the sources are a handful, as those of a scan are, its decoys included.
    pub fn is_of_few(&self) -> Option<u32> {
        (self.filled <= REGISTERS as u16 / 5).then(|| linear(self.filled, REGISTERS))
    }

    /// Distinct ports.
    pub fn ports(&self) -> u32 {
        if self.port_bits >= PORT_BITS_FULL { u32::from(u16::MAX) } else { linear(self.port_bits, PORT_BITS) }
    }
}

/// Linear counting (Whang et al., 1990): how many were thrown where so many of all places are hit.
fn linear(hit: u16, places: usize) -> u32 {
    let places = places as f64;
    whole((-places * (1.0 - f64::from(hit) / places).ln()).round())
}

#[expect(clippy::cast_sign_loss, reason = "an estimate is never negative, and a cast saturates")]
const fn whole(estimate: f64) -> u32 {
    estimate as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sources: u32, ports: u16) -> Sketch {
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let mut sketch = Sketch::default();
        for number in 0..sources.max(u32::from(ports)) {
            let source = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number % sources).into();
            sketch.add(&hasher, source, (number % u32::from(ports)) as u16);
        }
        sketch
    }

    #[test]
    fn the_estimates_are_near_the_truth_over_all_orders_of_magnitude() {
        for sources in [1, 2, 10, 100, 300, 1_000, 10_000, 200_000] {
            let told = f64::from(seen(sources, 1).sources());
            assert!((told / f64::from(sources) - 1.0).abs() < 0.25, "{told} of {sources}");
        }
        for ports in [1, 10, 100, 1_000, 4_000] {
            let told = f64::from(seen(1, ports).ports());
            assert!((told / f64::from(ports) - 1.0).abs() < 0.15, "{told} of {ports}");
        }
        assert_eq!(seen(1, 60_000).ports(), 65_535);
    }

    #[test]
    fn a_handful_is_told_from_many() {
        assert_eq!(seen(1, 1).is_of_few(), Some(1));
        assert!(seen(30, 1).is_of_few().is_some());
        assert_eq!(seen(200, 1).is_of_few(), None);
    }
}
