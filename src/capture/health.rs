//! What a thread tells of itself while it runs, to whoever asks: that it is alive, and how its interface is.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::capture::watch::State;

/// Signs of life of a thread.
#[derive(Debug)]
pub struct Heartbeat {
    since: Instant,
    beats: AtomicU64,
    /// Milliseconds after `since` of the last one.
    last_ms: AtomicU64,
}

#[expect(clippy::disallowed_methods, reason = "capture is one of the two rooms that read a clock")]
fn steady() -> Instant {
    Instant::now()
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { since: steady(), beats: AtomicU64::new(0), last_ms: AtomicU64::new(0) }
    }
}

impl Heartbeat {
    /// Gives one.
    pub fn beat(&self) {
        self.last_ms.store(self.elapsed_ms(), Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were given.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// How long ago the last one was given; before the first, how long it is waited for.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed)))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What the kernel says of an interface's frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// Largest packet in bytes, headers of the link left out; 0: not told.
    pub mtu: u32,
    /// Megabits a second; 0: not told.
    pub speed_mbits: u32,
}

/// The state of a captured interface, told by its capture thread.
#[derive(Debug, Default)]
pub struct Health {
    state: AtomicU8,
    mtu: AtomicU32,
    speed_mbits: AtomicU32,
    /// Given at each tick of the thread.
    pub heartbeat: Heartbeat,
}

impl Health {
    /// Tells the state.
    pub fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Asks for it.
    pub fn state(&self) -> State {
        let number = self.state.load(Ordering::Relaxed);
        State::ALL.into_iter().find(|state| *state as u8 == number).unwrap_or_default()
    }

    /// Tells of its frames.
    pub fn set_device(&self, device: Device) {
        self.mtu.store(device.mtu, Ordering::Relaxed);
        self.speed_mbits.store(device.speed_mbits, Ordering::Relaxed);
    }

    /// Asks for that.
    pub fn device(&self) -> Device {
        Device {
            mtu: self.mtu.load(Ordering::Relaxed),
            speed_mbits: self.speed_mbits.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_was_told_is_that_which_is_heard() {
        let health = Health::default();
        assert_eq!((health.state(), health.device()), (State::Watching, Device::default()));
        for state in State::ALL {
            health.set(state);
            assert_eq!(health.state(), state);
        }
        let device = Device { mtu: 9_000, speed_mbits: 10_000 };
        health.set_device(device);
        assert_eq!(health.device(), device);
    }

    #[test]
    fn a_heart_that_beats_is_younger_than_one_that_does_not() {
        let (silent, beating) = (Heartbeat::default(), Heartbeat::default());
        while silent.age() < Duration::from_millis(5) {
            beating.beat();
        }
        assert!(beating.beats() > 0 && silent.beats() == 0);
        assert!(beating.age() < silent.age());
    }
}
