//! A MaxMind DB file without what its order tells: how the embedded database is carried, in a third of the room.
//!
//! The nodes of a search tree that was written depth first need no pointers: the next node is the child of the last one that still
//! wants a child. What is left of a node is two bits a side; then come the data that sides point at, and the few pointers back (aliases
//! of IPv4 space). Unpacked it is the file again, byte for byte, so its hash is that of the file.

/// What a packed file begins with.
const MAGIC: &[u8; 4] = b"GWP1";
/// Bytes of a node: two records of 24 bits (MaxMind DB File Format 2.0, "Search Tree").
const NODE_BYTES: usize = 6;
const SIDE_BYTES: usize = NODE_BYTES / 2;
/// Bits of a side's kind.
const KIND_BITS: u8 = 2;

/// What a side of a node holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    /// Nothing is known of it.
    Empty,
    /// A record of the data section.
    Data,
    /// The next node that nothing points at yet.
    Next,
    /// A node that stands before.
    Back,
}

impl Side {
    const fn of_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Empty,
            1 => Self::Data,
            2 => Self::Next,
            _ => Self::Back,
        }
    }
}

/// Packs a file whose tree has `nodes` nodes of 24-bit records, written depth first. The error says why another cannot be packed.
pub fn pack(file: &[u8], nodes: u32) -> Result<Vec<u8>, &'static str> {
    let (tree, rest) =
        file.split_at_checked(nodes as usize * NODE_BYTES).ok_or("the file ends within its tree")?;
    let (mut kinds, mut data, mut back) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = Vec::new();
    for (node, sides) in (0..nodes).zip(tree.chunks_exact(NODE_BYTES)) {
        if node > 0 && waiting.pop() != Some(node) {
            return Err("the tree is not written depth first");
        }
        let [left, right] = [0, SIDE_BYTES].map(|at| number(sides.get(at..).unwrap_or_default()));
        let mut bits = 0;
        for (value, shift) in [(left, 0), (right, KIND_BITS)] {
            let side = match value {
                empty if empty == nodes => Side::Empty,
                record if record > nodes => {
                    data.push(record - nodes);
                    Side::Data
                }
                next if next > node => Side::Next,
                before => {
                    back.push(before);
                    Side::Back
                }
            };
            bits |= (side as u8) << shift;
        }
        // The left one comes first, so it is wanted last.
        waiting.extend([right, left].into_iter().filter(|side| (node + 1..nodes).contains(side)));
        kinds.push(bits);
    }
    if !waiting.is_empty() {
        return Err("sides point at one node twice");
    }
    let lengths = [nodes, data.len() as u32, back.len() as u32];
    let mut packed = MAGIC.to_vec();
    packed.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
    packed.extend(kinds);
    // Bytes of one place together: they repeat more.
    for shift in [16, 8, 0] {
        packed.extend(data.iter().map(|value| (value >> shift) as u8));
    }
    packed.extend(back.iter().flat_map(|value| value.to_le_bytes()));
    packed.extend(rest);
    Ok(packed)
}

/// The file that was packed; at most `max_bytes` of it.
pub fn unpack(packed: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let mut reader = Cursor(packed.strip_prefix(MAGIC)?);
    let [nodes, data, back] = [reader.length()?, reader.length()?, reader.length()?];
    let kinds = reader.take(nodes)?;
    let places = [reader.take(data)?, reader.take(data)?, reader.take(data)?];
    let back = reader.take(back.checked_mul(4)?)?;
    let rest = reader.0;
    let tree = nodes.checked_mul(NODE_BYTES)?;
    if tree.checked_add(rest.len())? > max_bytes {
        return None;
    }
    let [high, middle, low] = places.map(|bytes| bytes.iter().copied());
    let mut data =
        high.zip(middle).zip(low).map(|((high, middle), low)| u32::from_be_bytes([0, high, middle, low]));
    let mut back = back.chunks_exact(4).filter_map(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?)));
    let mut file = vec![0; tree];
    file.extend(rest);
    let nodes = nodes as u32;
    let mut waiting: Vec<usize> = Vec::new();
    for (node, bits) in (0..nodes).zip(kinds) {
        if node > 0 {
            write(&mut file, waiting.pop()?, node)?;
        }
        let left = node as usize * NODE_BYTES;
        let sides = [(left, *bits), (left + SIDE_BYTES, bits >> KIND_BITS)];
        for (at, bits) in sides {
            match Side::of_bits(bits) {
                Side::Empty => write(&mut file, at, nodes)?,
                Side::Data => write(&mut file, at, nodes.checked_add(data.next()?)?)?,
                Side::Back => write(&mut file, at, back.next()?)?,
                Side::Next => {}
            }
        }
        let wants = |(at, bits): &(usize, u8)| (Side::of_bits(*bits) == Side::Next).then_some(*at);
        waiting.extend(sides.iter().rev().filter_map(wants));
    }
    waiting.is_empty().then_some(file)
}

/// A record of 24 bits.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(SIDE_BYTES).fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn write(file: &mut [u8], at: usize, value: u32) -> Option<()> {
    let [_, bytes @ ..] = value.to_be_bytes();
    file.get_mut(at..at + SIDE_BYTES)?.copy_from_slice(&bytes);
    Some(())
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ipnet::IpNet;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A database of some networks, with IPv4 space also under its aliases.
    fn database(networks: &[(u32, u8)]) -> (Vec<u8>, u32) {
        let mut writer = mmdb_writer::Writer::builder("X-Country").build();
        for (number, (address, length)) in networks.iter().enumerate() {
            let network = IpNet::new(Ipv4Addr::from_bits(*address).into(), *length).unwrap().trunc();
            _ = writer.insert(network, &json!({"country": format!("{}", number % 7)}));
        }
        let bytes = writer.to_bytes().unwrap();
        let nodes = maxminddb::Reader::from_source(bytes.clone()).unwrap().metadata().node_count;
        (bytes, nodes)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_packed_comes_out_as_it_was(
            networks in prop::collection::vec((0x0200_0000_u32..0xdf00_0000, 8_u8..=32), 1..60)
        ) {
            let (file, nodes) = database(&networks);
            let packed = pack(&file, nodes).unwrap();
            prop_assert!(packed.len() < file.len());
            prop_assert_eq!(unpack(&packed, file.len()), Some(file.clone()));
            prop_assert_eq!(unpack(&packed, file.len() - 1), None, "beyond the limit");
        }

        #[test]
        fn harmed_files_are_refused_or_come_out_as_something_else(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let (file, nodes) = database(&[(0x0a00_0000, 9), (0x5000_0000, 17)]);
            let mut packed = pack(&file, nodes).unwrap();
            let at = at.index(packed.len());
            packed[at] = byte;
            _ = unpack(&packed, 1 << 20);
            packed.truncate(at);
            _ = unpack(&packed, 1 << 20);
        }
    }

    #[test]
    fn a_tree_in_another_order_is_refused() {
        // The root's right side stands before its left one.
        let tree: [u8; 18] = [0, 0, 2, 0, 0, 1, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 3];
        assert_eq!(pack(&tree, 3), Err("the tree is not written depth first"));
        assert!(pack(&tree, 4).is_err());
    }
}
