//! One capture file: opened, decompressed, read one frame ahead.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use pcap::{Capture, Offline};

use crate::capture::live::{complaint, frame, set_filter};
use crate::model::frame::{Frame, Link};
use crate::model::time::Timestamp;

/// Bytes that tell a compressed file: gzip (RFC 1952) and zstd (RFC 8878).
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes copied at once from a decompressor.
const COPY_BYTES: usize = 256 << 10;

/// Why a file, or its rest, cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileComplaint {
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what was kept.
    pub text: String,
    /// Whether the file does not exist or cannot be opened, rather than holding the wrong thing.
    pub missing: bool,
}

/// A file of which one frame is read ahead.
pub struct Source {
    path: PathBuf,
    handle: Capture<Offline>,
    link: Link,
    /// The frame read ahead. Invariant: valid while `time` is some.
    bytes: Vec<u8>,
    length: u32,
    time: Option<Timestamp>,
    /// Frames handed out.
    frames: u64,
    pump: Option<JoinHandle<()>>,
}

impl Source {
    /// Opens a file (`-` is standard input) and reads its first frame.
    pub fn open(path: &Path, filter: &str) -> Result<Self, FileComplaint> {
        let wrong = |text: String, missing| FileComplaint { path: path.to_owned(), text, missing };
        let mut pump = None;
        let opened = if path == Path::new("-") {
            Capture::from_file("-")
        } else {
            let mut file =
                File::open(path).map_err(|error| wrong(format!("cannot be opened: {error}"), true))?;
            let mut magic = [0; 4];
            let known =
                file.read(&mut magic).map_err(|error| wrong(format!("cannot be read: {error}"), true))?;
            if known == 0 {
                return Err(wrong("is empty: not even the header of a capture file".into(), false));
            }
            if magic.starts_with(&GZIP) || magic == ZSTD {
                let file =
                    File::open(path).map_err(|error| wrong(format!("cannot be opened: {error}"), true))?;
                let (name, thread) =
                    decompress(file, magic == ZSTD).map_err(|error| wrong(error.to_string(), true))?;
                pump = Some(thread);
                // The pipe is opened again under its name; `name` must live until then.
                Capture::from_file(name.path())
            } else {
                Capture::from_file(path)
            }
        };
        let mut handle = opened.map_err(|error| {
            wrong(
                format!("is no capture file (pcap or pcapng, plain, .gz or .zst): {}", complaint(&error)),
                false,
            )
        })?;
        set_filter(&mut handle, filter).map_err(|error| wrong(error.to_string(), false))?;
        let link = Link::from_number(handle.get_datalink().0);
        let mut source = Self {
            path: path.to_owned(),
            handle,
            link,
            bytes: Vec::new(),
            length: 0,
            time: None,
            frames: 0,
            pump,
        };
        source.advance()?;
        Ok(source)
    }

    /// Where it was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The time of the frame read ahead; `None` at the end of the file.
    pub const fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// The frame read ahead.
    pub fn head(&self) -> Option<Frame<'_>> {
        Some(Frame { time: self.time?, bytes: &self.bytes, length: self.length, link: self.link })
    }

    /// Reads the next frame ahead.
    pub fn advance(&mut self) -> Result<(), FileComplaint> {
        self.frames += u64::from(self.time.is_some());
        self.time = None;
        match self.handle.next_packet() {
            Ok(packet) => {
                let next = frame(&packet, self.link);
                self.bytes.clear();
                self.bytes.extend_from_slice(next.bytes);
                self.length = next.length;
                self.time = Some(next.time);
                Ok(())
            }
            Err(pcap::Error::NoMorePackets) => Ok(()),
            Err(error) => Err(FileComplaint {
                path: self.path.clone(),
                text: format!(
                    "cannot be read beyond frame {}: {}; what came before it is counted",
                    self.frames,
                    complaint(&error)
                ),
                missing: false,
            }),
        }
    }

    /// Hands every frame to `take`, beginning with the one read ahead, without copying the others.
    pub fn each(&mut self, mut take: impl FnMut(&Frame<'_>) -> bool) -> Result<(), FileComplaint> {
        if let Some(head) = self.head()
            && !take(&head)
        {
            return Ok(());
        }
        self.frames += u64::from(self.time.is_some());
        self.time = None;
        loop {
            match self.handle.next_packet() {
                Ok(packet) => {
                    self.frames += 1;
                    if !take(&frame(&packet, self.link)) {
                        return Ok(());
                    }
                }
                Err(pcap::Error::NoMorePackets) => return Ok(()),
                Err(error) => {
                    let text = format!(
                        "cannot be read beyond frame {}: {}; what came before it is counted",
                        self.frames,
                        complaint(&error)
                    );
                    return Err(FileComplaint { path: self.path.clone(), text, missing: false });
                }
            }
        }
    }

    /// Waits for the decompressor, if there is one.
    pub fn close(self) {
        drop(self.handle);
        if let Some(pump) = self.pump {
            // It ends by itself: at the end of its file, or because nobody reads the pipe any more.
            let _ = pump.join();
        }
    }
}

/// The reading end of a pipe, and the name under which libpcap can open it.
struct PipeName(std::io::PipeReader);

impl PipeName {
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Decompresses a file into a pipe, on a thread of its own.
fn decompress(file: File, zstd: bool) -> std::io::Result<(PipeName, JoinHandle<()>)> {
    let (reader, mut writer) = std::io::pipe()?;
    let mut source: Box<dyn Read + Send> = if zstd {
        Box::new(zstd::stream::read::Decoder::new(file)?)
    } else {
        Box::new(flate2::read::MultiGzDecoder::new(std::io::BufReader::with_capacity(COPY_BYTES, file)))
    };
    let thread = std::thread::Builder::new().name("decompress".into()).spawn(move || {
        let mut buffer = vec![0; COPY_BYTES];
        // A broken archive ends the pipe early: libpcap then tells of the cut at the right frame.
        while let Ok(count) = source.read(&mut buffer) {
            let piece = buffer.get(..count).unwrap_or_default();
            if piece.is_empty() || writer.write_all(piece).is_err() {
                break;
            }
        }
    })?;
    Ok((PipeName(reader), thread))
}
