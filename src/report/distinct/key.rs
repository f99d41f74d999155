//! The secret that sources are hashed by before a sketch takes them.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::report::json::hex;

/// Where the key lies among the remembered values.
pub const KEY: &str = "sketch_key";

/// A source as sketches take it.
pub fn word(key: &[u8; 32], source: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(source.as_bytes());
    hash.finalize().first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word))
}

/// The key of a store; made where it has none.
pub fn hash_key(connection: &Connection) -> rusqlite::Result<[u8; 32]> {
    let ask = || {
        connection
            .query_row("SELECT unhex(value) FROM meta WHERE key = ?1", [KEY], |row| row.get::<_, Vec<u8>>(0))
    };
    let bytes = match ask() {
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            connection.execute("INSERT INTO meta VALUES (?1, hex(randomblob(32)))", [KEY])?;
            ask()?
        }
        other => other?,
    };
    Ok(<[u8; 32]>::try_from(bytes).unwrap_or_default())
}

/// Names the key that sources are hashed by without giving it away: sketches of the same name merge.
pub fn key_name(connection: &Connection) -> rusqlite::Result<String> {
    let named = Sha256::digest([b"sketch key ".as_slice(), &hash_key(connection)?].concat());
    Ok(hex(named.first_chunk::<4>().map_or(&[], |four| four.as_slice())))
}

/// Hashes sources by the key of a fleet from now on. False where sketches under another key are kept already: those would
/// not merge with new ones, and what they count cannot be hashed anew.
pub fn set_key(connection: &Connection, secret: &[u8]) -> rusqlite::Result<bool> {
    let key: [u8; 32] = Sha256::digest(secret).into();
    if hash_key(connection)? == key {
        return Ok(true);
    }
    let kept: bool =
        connection.query_row("SELECT EXISTS (SELECT 1 FROM distinct_day)", [], |row| row.get(0))?;
    if !kept {
        connection.execute("UPDATE meta SET value = hex(?2) WHERE key = ?1", params![KEY, key])?;
    }
    Ok(!kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::store::Store;

    #[test]
    fn a_fleet_hashes_alike_and_kept_sketches_keep_their_key() {
        let stores = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let stores = stores.each_ref().map(|folder| Store::open(folder.path()).unwrap().0);
        let names = || stores.each_ref().map(|store| key_name(store.connection()).unwrap());
        let [first, second] = names();
        assert_ne!(first, second, "a secret of its own each");
        assert!(stores.iter().all(|store| set_key(store.connection(), b"of the fleet").unwrap()));
        let [first, second] = names();
        assert_eq!(first, second);
        let [store, _] = &stores;
        store.connection().execute("INSERT INTO distinct_day VALUES (0, 'total', '', x'00')", []).unwrap();
        assert!(set_key(store.connection(), b"of the fleet").unwrap(), "it is the same");
        assert!(!set_key(store.connection(), b"another").unwrap());
        assert_eq!(names(), [first, second]);
    }
}
