//! `gatewatch top`: a live view of the running daemon over its status socket. It only reads, and outlives the daemon it watches.

pub(crate) mod draw;
pub(crate) mod view;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::app::state::Status;
use crate::app::status;
use crate::app::top::view::{Act, View};
use crate::exit::Fatal;
use crate::report::zone::Zone;

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long a key is waited for before answers are looked at.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// An answer, or why there is none.
type Answer = Result<Status, String>;

/// Shows the view until it is quit.
pub fn run(socket: &Path, zone: Zone) -> Result<ExitCode, Fatal> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Fatal::Usage("top needs a terminal; \"gatewatch status\" prints the state once".into()));
    }
    let io = |error: std::io::Error| Fatal::Io(format!("terminal: {error}"));
    let (to_view, answers) = bounded(1);
    // Ends by itself once nobody takes its answers.
    let socket = socket.to_owned();
    std::thread::Builder::new()
        .name("ask".to_owned())
        .spawn(move || ask(&socket, &to_view))
        .map_err(|error| Fatal::Os(format!("cannot start a thread: {error}")))?;
    let mut terminal = ratatui::try_init().map_err(io)?;
    let shown = show(&mut terminal, &answers, View::new(zone));
    ratatui::restore();
    shown.map_err(io)?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "app is one of the two rooms that read a clock")]
fn now() -> Instant {
    Instant::now()
}

/// Asks again and again; a daemon that is away is asked like any other.
fn ask(socket: &Path, to_view: &Sender<Answer>) {
    loop {
        let begun = now();
        if to_view.send(status::state(socket)).is_err() {
            return;
        }
        std::thread::park_timeout(ASK_EVERY.saturating_sub(begun.elapsed()));
    }
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    answers: &Receiver<Answer>,
    mut view: View,
) -> std::io::Result<()> {
    let begun = now();
    terminal.draw(|frame| draw::draw(frame, &view))?;
    loop {
        let mut changed = false;
        if event::poll(KEY_WAIT)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match act(key) {
                    Some(Act::Quit) => return Ok(()),
                    Some(act) => view.obey(act),
                    None => {}
                },
                _ => {}
            }
            // A resize, too, is an event.
            changed = true;
        }
        while let Ok(answer) = answers.try_recv() {
            view.take(begun.elapsed(), answer);
            changed = true;
        }
        if changed {
            terminal.draw(|frame| draw::draw(frame, &view))?;
        }
    }
}

/// What a key asks for.
fn act(key: KeyEvent) -> Option<Act> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Act::Quit);
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Act::Quit),
        KeyCode::Char('p' | ' ') => Some(Act::Pause),
        KeyCode::Char('o') => Some(Act::Sort),
        KeyCode::Char('s') => Some(Act::NextSite),
        KeyCode::Char('c') => Some(Act::NextClass),
        KeyCode::Char('a') => Some(Act::All),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_the_last_line_names() {
        let of = |code| act(KeyEvent::new(code, KeyModifiers::NONE));
        for (letter, wanted) in [
            ('q', Act::Quit),
            ('p', Act::Pause),
            (' ', Act::Pause),
            ('o', Act::Sort),
            ('s', Act::NextSite),
            ('c', Act::NextClass),
            ('a', Act::All),
        ] {
            assert_eq!(of(KeyCode::Char(letter)), Some(wanted), "{letter}");
        }
        assert_eq!(of(KeyCode::Char('x')), None);
        assert_eq!(act(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Act::Quit));
    }
}
