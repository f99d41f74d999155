//! A network of its own for one test: client, gateway and server in namespaces, with a real web server.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::sensor::{PATIENCE, run};

static BEDS: AtomicU32 = AtomicU32::new(0);

/// Why the bed cannot be built here, if it cannot.
pub fn obstacle() -> Option<String> {
    let user = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&user.stdout).trim() != "0" {
        return Some("network namespaces need root".to_owned());
    }
    let missing = ["ip", "curl", "python3"].into_iter().find(|tool| !exists(tool));
    missing.map(|tool| format!("{tool} is not installed"))
}

fn exists(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// The bed; it is taken down when it goes out of scope.
#[derive(Debug)]
pub struct Bed {
    name: String,
    servers: Vec<Child>,
    addresses: BTreeSet<String>,
}

impl Bed {
    /// Builds one, with a web server behind the gateway.
    pub fn up() -> Self {
        let mut bed = Self::up_bare();
        bed.serve("server");
        bed
    }

    /// Builds one without a server.
    pub fn up_bare() -> Self {
        let number = BEDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("gw{}-{number}", std::process::id());
        script("up", &name);
        Self { name, servers: Vec::new(), addresses: BTreeSet::new() }
    }

    /// Deletes the link to the client at its end in the gateway, `wan0`.
    pub fn cut_wan(&self) {
        let cut = self.command("gateway", "ip").args(["link", "del", "wan0"]).status();
        assert!(cut.expect("ip runs").success());
    }

    /// Makes it again, as another interface of the same name.
    pub fn mend_wan(&mut self) {
        script("wan", &self.name);
        // The addresses of the client went with it.
        self.addresses.clear();
    }

    /// Starts a web server in a part of the bed and waits until it listens.
    pub fn serve(&mut self, part: &str) {
        let mut command = self.command(part, "python3");
        command.args(["-u", "-m", "http.server", "80", "--bind", "::", "--protocol", "HTTP/1.1"]);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a web server");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("a first line");
        assert!(line.starts_with("Serving HTTP"), "the web server says: {line}");
        self.servers.push(child);
    }

    /// The name of the bed, unique on this machine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network namespace of `client`, `gateway` or `server`.
    pub fn namespace(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    /// A command inside `client`, `gateway` or `server`.
    pub fn command(&self, part: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(part)]).arg(program);
        command
    }

    /// Sends requests one after the other from `source`; each must be answered.
    pub fn ask(&mut self, source: &str, urls: &[String]) {
        self.ask_with(source, urls, &[]);
    }

    /// The same with further options of curl.
    pub fn ask_with(&mut self, source: &str, urls: &[String], options: &[&str]) {
        self.own(source);
        let mut curl = self.command("client", "curl");
        curl.args(["-s", "-g", "--path-as-is", "--max-time", "20", "--interface", source]).args(options);
        for url in urls {
            curl.args(["-o", "/dev/null", "-w", "%{http_code}\n", url]);
        }
        let ended = run(curl, b"", PATIENCE);
        let answers = ended.stdout.lines().filter(|code| code.len() == 3 && *code != "000").count();
        assert_eq!(answers, urls.len(), "{source}: {ended:?}");
    }

    /// Gives the client an address.
    pub fn own(&mut self, source: &str) {
        if !self.addresses.insert(source.to_owned()) {
            return;
        }
        let bits = if source.contains(':') { 128 } else { 32 };
        let mut ip = Command::new("ip");
        ip.args([
            "-n",
            &format!("{}-client", self.name),
            "addr",
            "add",
            &format!("{source}/{bits}"),
            "dev",
            "lo",
        ]);
        assert!(ip.status().expect("ip runs").success(), "address {source}");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        script("down", &self.name);
        for server in &mut self.servers {
            _ = server.wait();
        }
    }
}

fn script(act: &str, name: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/bed.sh");
    let output = Command::new(script).args([act, name]).output().expect("bed.sh runs");
    assert!(output.status.success(), "bed.sh {act}: {}", String::from_utf8_lossy(&output.stderr));
}
