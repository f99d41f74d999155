//! The doors at which the metrics are asked for: a Unix socket, and a port of this machine where the settings want one. Enough
//! of HTTP/1 for a scraper, and no more: whoever asks otherwise is answered so and closed.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::app::live::Pipeline;
use crate::app::metrics::{CONTENT_TYPE, exposition};
use crate::app::status;
use crate::config::Settings;

/// Clients of a door served at once; others wait in the kernel's queue.
const CLIENTS_MAX: usize = 4;
/// A client that does not ask or does not read is dropped after this long.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest request head that is read.
const HEAD_MAX_BYTES: usize = 4_096;
/// Reads of what a client says beyond a head that was refused: 64 KiB at most.
const LINGER_READS: usize = 64;
/// Most header fields of one.
const FIELDS_MAX: usize = 32;
/// Who asks more often is told the same: asking must not keep the control plane busy.
const SAME_FOR: Duration = Duration::from_millis(200);
/// Pause after a client that could not be taken, as when no descriptor is left.
const TAKE_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What is opened before the process is confined.
pub struct Doors {
    socket: PathBuf,
    listener: Option<StdListener>,
}

/// Both doors, open until this is dropped.
pub struct Served {
    path: Option<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        if let Some(path) = &self.path {
            // One that stays is replaced at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Doors {
    /// Opens the port, if one is wanted. One that cannot be opened is told and costs the metrics, never the capture.
    pub fn open(settings: &Settings) -> Self {
        let address = settings.metrics.address().ok().flatten();
        let listener = address.and_then(|address| match listen(address) {
            Ok(listener) => Some(listener),
            Err(error) => {
                let hint = match error.raw_os_error() {
                    Some(libc::EAFNOSUPPORT | libc::EPERM) => {
                        "; the service closes TCP: it needs the drop-in metrics-tcp.conf, see docs/metrics.md"
                    }
                    _ => "",
                };
                tracing::warn!(%address, %error, "no metrics on metrics.listen{hint}");
                None
            }
        });
        Self { socket: settings.metrics.socket(&settings.state), listener }
    }

    /// Begins to answer at both.
    pub fn serve(self, pipeline: &Arc<Pipeline>) -> Served {
        let source = Arc::new(Source { pipeline: Arc::clone(pipeline), last: Mutex::default() });
        let mut tasks = Vec::new();
        let path = match status::bind(&self.socket) {
            Ok(listener) => {
                tasks.push(tokio::spawn(answer_all(listener, Arc::clone(&source))));
                Some(self.socket)
            }
            Err(error) => {
                tracing::warn!(socket = %self.socket.display(), %error, "no metrics socket; set metrics.socket to a folder that can be written");
                None
            }
        };
        if let Some(listener) = self.listener {
            match TcpListener::from_std(listener) {
                Ok(listener) => tasks.push(tokio::spawn(answer_all(listener, source))),
                Err(error) => tracing::warn!(%error, "no metrics on metrics.listen"),
            }
        }
        Served { path, tasks }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A listener of either family.
trait Door {
    type Client: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    fn take(&self) -> impl Future<Output = std::io::Result<Self::Client>> + Send;
}

impl Door for UnixListener {
    type Client = tokio::net::UnixStream;

    async fn take(&self) -> std::io::Result<Self::Client> {
        self.accept().await.map(|(client, _)| client)
    }
}

impl Door for TcpListener {
    type Client = tokio::net::TcpStream;

    async fn take(&self) -> std::io::Result<Self::Client> {
        self.accept().await.map(|(client, _)| client)
    }
}

async fn answer_all(door: impl Door, source: Arc<Source>) {
    let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
    while let Ok(permit) = Arc::clone(&clients).acquire_owned().await {
        let Ok(mut client) = door.take().await else {
            // Nothing happens meanwhile: a time-out of its own.
            let _ = tokio::time::timeout(TAKE_AGAIN_AFTER, std::future::pending::<()>()).await;
            continue;
        };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            // A client that goes away or is slow is its own problem.
            let _ = tokio::time::timeout(CLIENT_TIMEOUT, answer(&mut client, &source)).await;
            drop(permit);
        });
    }
}

/// Reads one request and answers it.
async fn answer(client: &mut (impl AsyncRead + AsyncWrite + Unpin), source: &Source) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(HEAD_MAX_BYTES);
    let mut part = [0; 1_024];
    let asked = loop {
        let count = client.read(&mut part).await?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(part.get(..count).unwrap_or_default());
        if let Some(asked) = Asked::read(&head) {
            break asked;
        }
    };
    let text = if asked == Asked::Metrics || asked == Asked::Head { source.text() } else { Arc::default() };
    client.write_all(asked.reply(&text).as_bytes()).await?;
    client.shutdown().await?;
    if matches!(asked, Asked::Nonsense | Asked::TooMuch) {
        // Closed over bytes that were not read, the answer would be lost with them (RFC 9112 §9.6).
        for _ in 0..LINGER_READS {
            if client.read(&mut part).await? == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// What the answer would be.
    Head,
    /// The metrics.
    Metrics,
    /// Something that is no request.
    Nonsense,
    /// Another act than reading.
    OtherMethod,
    /// Another path.
    OtherPath,
    /// More than is read.
    TooMuch,
}

impl Asked {
    /// What the bytes of a request ask for; none while its head is not whole.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX_BYTES => return None,
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Some(Self::TooMuch);
            }
            Err(_) => return Some(Self::Nonsense),
            Ok(httparse::Status::Complete(_)) => {}
        }
        let path = request.path.unwrap_or_default();
        if path.split('?').next() != Some("/metrics") {
            return Some(Self::OtherPath);
        }
        Some(match request.method {
            Some("GET") => Self::Metrics,
            Some("HEAD") => Self::Head,
            _ => Self::OtherMethod,
        })
    }

    fn reply(self, text: &str) -> String {
        let (status, kind, body) = match self {
            Self::Head | Self::Metrics => ("200 OK", CONTENT_TYPE, text),
            Self::Nonsense => ("400 Bad Request", "text/plain", "this is no HTTP/1 request\n"),
            Self::OtherMethod => {
                ("405 Method Not Allowed\r\nAllow: GET, HEAD", "text/plain", "GET /metrics\n")
            }
            Self::OtherPath => ("404 Not Found", "text/plain", "the metrics are at /metrics\n"),
            Self::TooMuch => ("431 Request Header Fields Too Large", "text/plain", "too long a head\n"),
        };
        let length = body.len();
        let body = if self == Self::Head { "" } else { body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }
}

/// What is told, and when it was last put together.
struct Source {
    pipeline: Arc<Pipeline>,
    last: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Source {
    #[expect(clippy::disallowed_methods, reason = "app is one of the two rooms that read a clock")]
    fn text(&self) -> Arc<str> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, text)) = &*last
            && now.saturating_duration_since(*at) < SAME_FOR
        {
            return Arc::clone(text);
        }
        let text: Arc<str> = exposition(&self.pipeline.status()).into();
        *last = Some((now, Arc::clone(&text)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_whole_or_refused() {
        for (bytes, asked) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Some(Asked::Metrics)),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", Some(Asked::Metrics)),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", Some(Asked::Head)),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some(Asked::OtherMethod)),
            ("GET /etc/passwd HTTP/1.1\r\n\r\n", Some(Asked::OtherPath)),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n", None),
            ("\x16\x03\x01\x02", Some(Asked::Nonsense)),
            ("GET\x00/metrics HTTP/1.1\r\n\r\n", Some(Asked::Nonsense)),
        ] {
            assert_eq!(Asked::read(bytes.as_bytes()), asked, "{bytes:?}");
        }
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "a".repeat(HEAD_MAX_BYTES));
        assert_eq!(Asked::read(long.as_bytes()), Some(Asked::TooMuch));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(Asked::read(many.as_bytes()), Some(Asked::TooMuch));
    }

    #[test]
    fn a_reply_tells_the_length_of_its_body_and_closes() {
        let reply = Asked::Metrics.reply("x 1\n");
        assert!(reply.contains("Content-Length: 4\r\nConnection: close\r\n\r\nx 1\n"), "{reply}");
        assert!(Asked::Head.reply("x 1\n").ends_with("Content-Length: 4\r\nConnection: close\r\n\r\n"));
    }
}
