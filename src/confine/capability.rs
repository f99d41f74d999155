//! Capabilities: all are given up but `CAP_NET_RAW`, which rests until an interface has to be opened again.

use rustix::io::{Errno, Result};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::confine::{State, Task};

/// More capabilities than the kernel has; it refuses the first number beyond its last one.
const CAPABILITIES_MAX: u32 = 64;

/// Gives up what the task does not need, and the means of getting any of it back.
pub fn give_up(task: Task) -> State {
    let kept = match task {
        Task::Capture => CapabilitySet::NET_RAW,
        Task::Replay => CapabilitySet::empty(),
    };
    match drop_all_but(kept) {
        Ok(held) if held.is_empty() => State::Closed("none held, no new privileges".to_owned()),
        Ok(_) => State::Closed("CAP_NET_RAW rests, none other held, no new privileges".to_owned()),
        Err(error) => State::Degraded(format!("not all given up: {error}")),
    }
}

fn drop_all_but(kept: CapabilitySet) -> Result<CapabilitySet> {
    let held = capabilities(None)?;
    // The bounding set limits what a program could gain that is executed, which no_new_privs alone forbids already.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        limit_bounding_set(kept)?;
    }
    clear_ambient_capability_set()?;
    let permitted = held.permitted & kept;
    let (effective, inheritable) = (CapabilitySet::empty(), CapabilitySet::empty());
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?;
    set_no_new_privs(true)?;
    Ok(permitted)
}

fn limit_bounding_set(kept: CapabilitySet) -> Result<()> {
    for number in 0..CAPABILITIES_MAX {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Runs `act` while `CAP_NET_RAW` is in effect on this thread, if the process still holds it.
pub fn with_net_raw<T>(act: impl FnOnce() -> T) -> T {
    let rested = capabilities(None).ok().filter(|held| held.permitted.contains(CapabilitySet::NET_RAW));
    let raised = rested.filter(|held| !held.effective.contains(CapabilitySet::NET_RAW));
    if let Some(held) = raised {
        // Where it fails the act is refused, and its own error says so.
        let _ = set_capabilities(
            None,
            CapabilitySets { effective: held.effective | CapabilitySet::NET_RAW, ..held },
        );
    }
    let done = act();
    if let Some(held) = raised {
        // Giving up a capability that is held cannot fail.
        let _ = set_capabilities(None, held);
    }
    done
}
