//! A machine with a real systemd in the gateway of a bed, with gatewatch installed as an operator would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::bed::Bed;
use super::sensor::{Ended, PATIENCE, run};

/// How often is looked whether the service has reached a state: 30 s at least, as a loaded machine is slow.
const LOOKS: u32 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why no container can be booted here, if none can.
pub fn obstacle() -> Option<String> {
    super::bed::obstacle().or_else(|| {
        ["/usr/bin/systemd-nspawn", "/lib/systemd/systemd", "/usr/bin/systemd-analyze"]
            .into_iter()
            .find(|path| !Path::new(path).exists())
            .map(|path| format!("{path} is not there (packages systemd-sysv, systemd-container)"))
    })
}

/// The container; it is removed when it goes out of scope, which must be before its bed does.
#[derive(Debug)]
pub struct Container {
    name: String,
    root: PathBuf,
}

impl Container {
    /// Boots one in the bed's gateway, with the built binary put in place by `make install`.
    pub fn boot(bed: &Bed) -> Self {
        let container = Self::prepare(bed);
        let mut make = Command::new("make");
        make.current_dir(env!("CARGO_MANIFEST_DIR")).arg("install");
        make.arg(format!("DESTDIR={}", container.root.display()));
        make.arg(format!("BINARY={}", env!("CARGO_BIN_EXE_gatewatch")));
        run(make, b"", PATIENCE).good();
        script("boot", &container.name, &[&bed.namespace("gateway")]).good();
        container
    }

    /// Boots one without gatewatch, with a file of this machine put in place.
    pub fn boot_with(bed: &Bed, file: &Path, place: &str) -> Self {
        let container = Self::prepare(bed);
        std::fs::copy(file, container.root.join(place.trim_start_matches('/'))).expect("a file copied");
        script("boot", &container.name, &[&bed.namespace("gateway")]).good();
        container
    }

    fn prepare(bed: &Bed) -> Self {
        let name = format!("{}-machine", bed.name());
        let prepared = script("prepare", &name, &[]).good();
        Self { root: PathBuf::from(prepared.stdout.trim()), name }
    }

    /// Runs a command inside.
    pub fn exec(&self, command: &[&str]) -> Ended {
        script("exec", &self.name, command)
    }

    /// Runs a command inside, which must succeed; its standard output without the last line feed.
    pub fn told(&self, command: &[&str]) -> String {
        let ended = self.exec(command);
        assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
        ended.stdout.trim_end().to_owned()
    }

    /// A property of the service, as systemd has it.
    pub fn property(&self, name: &str) -> String {
        self.told(&["systemctl", "show", "-P", name, "gatewatch"])
    }

    /// Waits until a property has a value.
    pub fn await_property(&self, name: &str, value: &str) {
        self.await_that(&format!("{name} = {value}"), || self.property(name) == value);
    }

    /// Waits until something holds.
    pub fn await_that(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..LOOKS {
            if holds() {
                return;
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        panic!("not in time: {what}; journal:\n{}", self.journal());
    }

    /// What the service has logged.
    pub fn journal(&self) -> String {
        self.exec(&["journalctl", "-u", "gatewatch", "-o", "cat", "--no-pager"]).stdout
    }

    /// Writes a file inside, readable by all.
    pub fn write(&self, path: &str, text: &str) {
        let mut command = self.command("exec");
        command.args([
            "sh",
            "-c",
            "mkdir -p \"$(dirname \"$0\")\" && cat > \"$0\" && chmod 644 \"$0\"",
            path,
        ]);
        run(command, text.as_bytes(), PATIENCE).good();
    }

    /// Reboots it.
    pub fn reboot(&self) {
        script("reboot", &self.name, &[]).good();
    }

    fn command(&self, act: &str) -> Command {
        command(act, &self.name)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        script("down", &self.name, &[]).good();
    }
}

fn command(act: &str, name: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/container.sh"));
    command.args([act, name]);
    command
}

fn script(act: &str, name: &str, arguments: &[&str]) -> Ended {
    let mut command = command(act, name);
    command.args(arguments);
    run(command, b"", PATIENCE)
}
