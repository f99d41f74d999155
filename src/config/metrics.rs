//! `[metrics]`: where numbers for monitoring are served.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::state::State;

/// Name of the socket beside that of the status.
const SOCKET_NAME: &str = "metrics.sock";

/// `[metrics]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Unix socket that answers `GET /metrics`. Empty: `metrics.sock` beside `state.socket`.
    pub socket: PathBuf,
    /// Address of this machine's loopback and a port, 1024 to 65535, that answer it too: `127.0.0.1:9617`. Empty: none.
    pub listen: String,
}

impl Metrics {
    /// The socket.
    pub fn socket(&self, state: &State) -> PathBuf {
        if self.socket.as_os_str().is_empty() {
            state.socket.with_file_name(SOCKET_NAME)
        } else {
            self.socket.clone()
        }
    }

    /// The address: none where none is wanted; the error tells what would be right.
    pub fn address(&self) -> Result<Option<SocketAddr>, String> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        let wanted = "a loopback address and a port from 1024 on are allowed, such as \"127.0.0.1:9617\" or \"[::1]:9617\"";
        let address: SocketAddr = self.listen.parse().map_err(|_| format!("{:?}: {wanted}", self.listen))?;
        // Whoever may ask from elsewhere would learn who attacks whom; a reverse proxy can add who may.
        if address.ip().is_loopback() && address.port() >= 1_024 {
            Ok(Some(address))
        } else {
            Err(format!("{:?}: {wanted}", self.listen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        let address = |listen: &str| Metrics { listen: listen.to_owned(), ..Metrics::default() }.address();
        assert_eq!(address(""), Ok(None));
        for good in ["127.0.0.1:9617", "127.1.2.3:1024", "[::1]:65535"] {
            assert_eq!(address(good).unwrap().unwrap().to_string(), good);
        }
        for bad in [
            "0.0.0.0:9617",
            "192.0.2.1:9617",
            "[::]:9617",
            "127.0.0.1:80",
            "127.0.0.1",
            "localhost:9617",
            "9617",
        ] {
            assert!(address(bad).unwrap_err().contains("loopback"), "{bad}");
        }
    }

    #[test]
    fn the_socket_lies_beside_that_of_the_status_unless_it_is_set() {
        let state = State { socket: "/run/gatewatch/wan0/gatewatch.sock".into(), ..State::default() };
        assert_eq!(Metrics::default().socket(&state), PathBuf::from("/run/gatewatch/wan0/metrics.sock"));
        let set = Metrics { socket: "/run/x.sock".into(), ..Metrics::default() };
        assert_eq!(set.socket(&state), PathBuf::from("/run/x.sock"));
    }
}
