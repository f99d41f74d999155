//! The view on a screen of any size; made for 80×24. Names come from the wire and are made safe before they are drawn.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line as TextLine;
use ratatui::widgets::Paragraph;

use crate::app::activity::ActivityRow;
use crate::app::state::Status;
use crate::app::top::view::{Line, View};
use crate::report::countries;
use crate::report::sentence::grouped;
use crate::report::text::lines::{fit, safe, sparks, width};

/// Lines of the head: state, rates, spark line, filter.
const HEAD_LINES: u16 = 4;
/// Lines of losses and troubles.
const FOOT_LINES: u16 = 2;
/// Part of the middle that the tables take at most; the incidents have the rest.
const TABLES_PERCENT: u16 = 60;
/// A screen with fewer lines shows no incidents.
const LOW_LINES: u16 = 16;
/// A screen with fewer columns shows its tables one below the other.
const TABLES_WIDTH: u16 = 64;
/// Columns of a table's numbers.
const NUMBER_WIDTH: usize = 11;
const RATE_WIDTH: usize = 9;

const KEYS: &str = "q quit  p pause  o order  s site  c class  a all";

/// Draws everything.
pub fn draw(frame: &mut Frame, view: &View) {
    let classes = view.lines(|row: &ActivityRow| &row.class);
    let origins = named(view.lines(|row: &ActivityRow| &row.country), |line| {
        format!("{} {}", line.name, countries::name(&line.name))
    });
    let side_by_side = frame.area().width >= TABLES_WIDTH;
    let is_low = frame.area().height < LOW_LINES;
    let middle = frame.area().height.saturating_sub(HEAD_LINES + FOOT_LINES + 1);
    let tables =
        if is_low { middle } else { tables_height(middle, side_by_side, [classes.len(), origins.len()]) };
    let parts = Layout::vertical([
        Constraint::Length(HEAD_LINES),
        Constraint::Length(tables),
        Constraint::Length(middle - tables),
        Constraint::Length(FOOT_LINES),
        Constraint::Length(1),
    ]);
    let [head, tables, incidents, foot, keys] = parts.areas(frame.area());
    draw_lines(frame, head, head_lines(view, head.width.into()));
    let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let layout = if side_by_side { Layout::horizontal(halves) } else { Layout::vertical(halves) };
    let [left, right] = layout.areas(tables);
    draw_table(frame, left, "class", &classes);
    draw_table(frame, right, "origin", &origins);
    draw_lines(frame, incidents, incident_lines(view, incidents.width.into(), incidents.height.into()));
    draw_lines(frame, foot, foot_lines(view, foot.width.into()));
    draw_lines(
        frame,
        keys,
        vec![(fit(KEYS, keys.width.into()), Style::new().add_modifier(Modifier::REVERSED))],
    );
}

/// Lines that the tables take: as many as they have, with their heads and a blank one below, but never the incidents' part.
fn tables_height(middle: u16, side_by_side: bool, rows: [usize; 2]) -> u16 {
    let longest = rows.into_iter().max().unwrap_or(0) + 1;
    let wanted = if side_by_side { longest + 1 } else { 2 * longest };
    let most = middle.saturating_mul(TABLES_PERCENT) / 100;
    u16::try_from(wanted).unwrap_or(most).min(most)
}

fn named(mut lines: Vec<Line>, name: impl Fn(&Line) -> String) -> Vec<Line> {
    for line in &mut lines {
        line.name = name(line);
    }
    lines
}

fn draw_lines(frame: &mut Frame, area: Rect, lines: Vec<(String, Style)>) {
    let lines: Vec<TextLine> = lines.into_iter().map(|(line, style)| TextLine::styled(line, style)).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn plain(text: String) -> (String, Style) {
    (text, Style::new())
}

fn title(text: String) -> (String, Style) {
    (text, Style::new().add_modifier(Modifier::BOLD))
}

fn head_lines(view: &View, columns: usize) -> Vec<(String, Style)> {
    let line = |text: &str| fit(&safe(text), columns);
    let bad = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
    let state = match (&view.trouble, &view.status) {
        (Some(trouble), _) => (line(&format!("no daemon answers, asking again: {trouble}")), bad),
        (None, None) => plain(line("asking the daemon …")),
        (None, Some(status)) => {
            (line(&state(view, status)), if status.state == "capturing" { Style::new() } else { bad })
        }
    };
    let [frames, attempts] = view.per_second();
    let total =
        view.status.as_ref().map_or(0, |status| status.activity.rows.iter().map(|row| row.attempts).sum());
    let rates = format!(
        "{frames:.0} frames/s   {attempts:.1} attempts/s   {} attempts since the start",
        grouped(total)
    );
    let recent: Vec<u64> = view.rates.iter().rev().take(columns).rev().copied().collect();
    let filter = format!(
        "{}order {}   site {}   class {}",
        if view.paused { "PAUSED   " } else { "" },
        view.order.name(),
        view.site.as_deref().unwrap_or("all"),
        view.class.as_deref().unwrap_or("all")
    );
    let held = if view.paused { Style::new().fg(Color::Yellow) } else { Style::new() };
    vec![state, plain(line(&rates)), (sparks(&recent), Style::new().fg(Color::Cyan)), (line(&filter), held)]
}

fn state(view: &View, status: &Status) -> String {
    let interfaces: Vec<String> =
        status.interfaces.iter().map(|interface| format!("{} {}", interface.name, interface.link)).collect();
    format!(
        "gatewatch {}   {}   {}   since {} {}",
        status.version,
        status.state,
        interfaces.join(", "),
        view.zone.second(&status.started),
        view.zone.other_than_utc().unwrap_or("UTC")
    )
}

fn draw_table(frame: &mut Frame, area: Rect, head: &str, rows: &[Line]) {
    // A blank column at the right keeps two tables apart.
    let columns = usize::from(area.width).saturating_sub(1);
    let name_width = columns.saturating_sub(NUMBER_WIDTH + RATE_WIDTH);
    let row = |name: &str, attempts: &str, rate: &str| {
        let numbers = format!("{attempts:>NUMBER_WIDTH$}{rate:>RATE_WIDTH$}");
        fit(&format!("{}{numbers}", fit(&safe(name), name_width)), columns)
    };
    let mut lines = vec![title(row(head, "attempts", "/s"))];
    let room = usize::from(area.height).saturating_sub(1);
    let cut = rows.len() > room;
    let shown = if cut { room.saturating_sub(1) } else { room };
    lines.extend(
        rows.iter().take(shown).map(|line| plain(row(&line.name, &grouped(line.attempts), &rate(line.rate)))),
    );
    if cut {
        lines.push(plain(format!("… and {} more", rows.len() - shown)));
    }
    draw_lines(frame, area, lines);
}

/// A rate in at most eight columns.
fn rate(rate: f64) -> String {
    if rate < 10_000.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn incident_lines(view: &View, columns: usize, room: usize) -> Vec<(String, Style)> {
    let row = |source: &str, [country, class, site, attempts, last]: [&str; 5]| {
        let end = format!(" {attempts:>9} {last}");
        let start = format!("{} {country:<8}{class:<16}{site}", fit(&safe(source), 24));
        fit(&format!("{}{end}", fit(&safe(&start), columns.saturating_sub(width(&end)))), columns)
    };
    let mut lines = vec![title(row("incidents under way", ["", "class", "site", "attempts", "last    "]))];
    lines.extend(view.incidents().map(|incident| {
        let last = view.zone.second(&incident.last);
        let clock = last.get(11..19).unwrap_or(&last).to_owned();
        let attempts = grouped(incident.attempts);
        plain(row(&incident.source, [&incident.country, &incident.class, &incident.site, &attempts, &clock]))
    }));
    // The head is one of the lines.
    if lines.len() > room && room > 1 {
        let more = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(plain(fit(&format!("… and {more} more"), columns)));
    }
    lines
}

fn foot_lines(view: &View, columns: usize) -> Vec<(String, Style)> {
    let losses: Vec<String> =
        view.losses().into_iter().map(|(name, count)| format!("{name} {}", grouped(count))).collect();
    let warning = Style::new().fg(Color::Yellow);
    let lost = if losses.is_empty() {
        plain("lost: nothing".to_owned())
    } else {
        (fit(&safe(&format!("lost: {}", losses.join(", "))), columns), warning)
    };
    let troubles = view.status.as_ref().map_or_else(String::new, |status| status.troubles.join("; "));
    vec![lost, (fit(&safe(&troubles), columns), warning)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::app::top::view::Act;
    use crate::app::top::view::tests::answer;
    use crate::report::zone::Zone;

    fn screen(view: &View, columns: u16, rows: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        (0..rows)
            .map(|y| (0..columns).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>())
            .collect()
    }

    fn view() -> View {
        let mut view = View::new(Zone::default());
        let rows = |count| [("www.example.org", "web.sqli", "US", count), ("b", "auth.ssh", "DE", 9)];
        view.take(Duration::ZERO, Ok(answer("2012-06-30T12:00:00Z", &rows(100))));
        view.take(Duration::from_secs(10), Ok(answer("2012-06-30T12:00:00Z", &rows(1_234_567))));
        view
    }

    #[test]
    fn an_ordinary_terminal_shows_everything() {
        let screen = screen(&view(), 80, 24);
        let text = screen.join("\n");
        for wanted in [
            "gatewatch 0.1.0   capturing",
            "attempts/s",
            "1,234,567   123447 ",
            "US United States",
            "192.0.2.7",
            "14:01:02",
            "lost: kernel_drops 3",
            "q quit  p pause",
        ] {
            assert!(text.contains(wanted), "{wanted}:\n{text}");
        }
        assert!(screen[23].starts_with("q quit"), "{text}");
        assert!(text.contains("1,234,567") && text.contains("DE Germany"), "{text}");
    }

    #[test]
    fn few_rows_leave_their_room_to_the_incidents_and_what_is_left_out_is_said() {
        let mut view = View::new(Zone::default());
        let sources: Vec<String> = (0..30).map(|at| format!("site {at:02}")).collect();
        let rows: Vec<_> = sources.iter().map(|site| (site.as_str(), "web.sqli", "US", 7)).collect();
        view.take(Duration::ZERO, Ok(answer("2012-06-30T12:00:00.123456Z", &rows)));
        let screen = screen(&view, 80, 24);
        let text = screen.join("\n");
        assert!(text.contains("since 2012-06-30 12:00:00 UTC"), "{text}");
        assert_eq!(text.matches("192.0.2.7").count(), 12, "{text}");
        assert!(screen[20].starts_with("… and 18 more"), "{text}");
    }

    #[test]
    fn no_size_and_no_name_breaks_it() {
        let mut hostile = View::new(Zone::default());
        let name = "\u{1b}[31m漢\u{202e}|".repeat(5_000);
        let rows: Vec<(&str, &str, &str, u64)> =
            vec![(&name, "web.sqli", "US", u64::MAX / 4), ("名前", &name, &name, 1)];
        hostile.take(Duration::ZERO, Ok(answer(&name, &rows)));
        hostile.obey(Act::NextSite);
        hostile.obey(Act::NextClass);
        hostile.obey(Act::Pause);
        for view in [&hostile, &view(), &View::new(Zone::default())] {
            for (columns, rows) in [(80, 24), (1, 1), (3, 2), (20, 5), (40, 10), (300, 100), (80, 3)] {
                let text = screen(view, columns, rows).join("");
                assert!(!text.contains(['\u{1b}', '\u{202e}']));
            }
        }
    }

    #[test]
    fn a_small_screen_shows_the_tables_below_each_other() {
        let text = screen(&view(), 40, 14).join("\n");
        assert!(text.contains("web.sqli") && text.contains("US United States"), "{text}");
        assert!(!text.contains("incidents"), "{text}");
    }

    #[test]
    fn a_daemon_that_is_gone_is_said_and_what_was_known_stays() {
        let mut view = view();
        view.take(Duration::from_secs(11), Err("/run/x: no such file".into()));
        let text = screen(&view, 80, 24).join("\n");
        assert!(text.contains("no daemon answers, asking again: /run/x: no such file"), "{text}");
        assert!(text.contains("1,234,567"), "{text}");
        view.obey(Act::Pause);
        assert!(screen(&view, 80, 24).join("\n").contains("PAUSED"));
    }
}
