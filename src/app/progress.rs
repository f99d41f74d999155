//! What long work shows of itself on a terminal: on standard error, so that it is in no pipe, and nothing anywhere else.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::app::shared::Shared;
use crate::model::time::Timestamp;

/// How often a line is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// A line that moves while work goes on, and goes when it ends. Not shown where standard error is no terminal, nor with --quiet.
pub struct Progress(ProgressBar);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress {
    fn of(bar: ProgressBar, style: Result<ProgressStyle, indicatif::style::TemplateError>) -> Self {
        if let Ok(style) = style {
            bar.set_style(style);
        }
        if !tracing::enabled!(tracing::Level::WARN) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(DRAW_EVERY);
        }
        Self(bar)
    }

    /// Work whose length is not known.
    pub fn working(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        Self::of(ProgressBar::new_spinner().with_message(what), style)
    }

    /// Work on so many bytes or rows.
    pub fn over(what: &'static str, length: u64) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} % {eta:>4}");
        Self::of(ProgressBar::new(length).with_message(what), style)
    }

    /// A replay, by what its stages tell.
    pub fn replaying(shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        let told = move |_: &ProgressState, line: &mut dyn std::fmt::Write| {
            // What cannot be drawn is not missed.
            let _ = line.write_str(&told(&shared));
        };
        let style = ProgressStyle::with_template("{spinner} {told} ({elapsed})")
            .map(|style| style.with_key("told", told));
        Self::of(ProgressBar::new_spinner(), style)
    }

    /// So much more is done.
    pub fn add(&self, part: u64) {
        self.0.inc(part);
    }
}

fn told(shared: &Shared) -> String {
    let mut status = crate::app::state::Status::default();
    shared.fill(&mut status, Timestamp::default());
    let frames = status.counters.get("frames_received").copied().unwrap_or(0);
    let mut text = format!(
        "{} frames, {} attempts",
        crate::report::sentence::grouped(frames),
        crate::report::sentence::grouped(status.attempts)
    );
    if let Some(written) = status.written {
        let _ = write!(text, ", written up to {written}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_looks_on_nothing_is_shown() {
        // The tests' standard error is no terminal, or no subscriber is set that would let a warning through.
        for progress in [
            Progress::working("adding up"),
            Progress::over("reading", 9),
            Progress::replaying(&Arc::new(Shared::default())),
        ] {
            progress.add(1);
            assert!(progress.0.is_hidden());
        }
    }

    #[test]
    fn a_replay_tells_frames_and_attempts() {
        assert_eq!(told(&Shared::default()), "0 frames, 0 attempts");
    }
}
