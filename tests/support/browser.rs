//! A headless Chromium, told what to do through its debugging pipe: no driver, no port, no network.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Debian's packages of it, the lightest first.
const NAMES: [&str; 3] = ["chromium-headless-shell", "chromium", "chromium-browser"];
/// Seconds after which it is killed, whatever it does.
const PATIENCE: &str = "480";

/// A running browser with one page.
pub struct Browser {
    child: Child,
    /// Commands; the end of it ends the browser.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    session: Option<String>,
    number: u64,
    /// What it told since the page was opened.
    pub events: Vec<Value>,
    _folder: tempfile::TempDir,
}

/// Whether a command runs and ends well.
fn runs(command: &[&str]) -> bool {
    let [name, arguments @ ..] = command else { return false };
    let quiet = Command::new(name).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

impl Browser {
    /// Starts one, without a network where the system allows that; none where none is installed.
    pub fn start() -> Option<Self> {
        let name = NAMES.into_iter().find(|name| runs(&["which", name]))?;
        let alone: &[&str] = [&["unshare", "-n"][..], &["unshare", "-rn"]]
            .into_iter()
            .find(|way| runs(&[*way, &["true"]].concat()))
            .unwrap_or(&[]);
        let folder = tempfile::tempdir().expect("a folder");
        let profile = format!("--user-data-dir={}", folder.path().display());
        let browser = [
            name,
            "--headless",
            // The page is ours, and containers seldom allow the sandbox.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--remote-debugging-pipe",
            &profile,
        ];
        // The pipe is on descriptors 3 and 4.
        let shell =
            ["timeout", "-k", "5", PATIENCE, "sh", "-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"];
        let line: Vec<&str> = [alone, &shell[..], &browser[..]].concat();
        let (program, arguments) = line.split_first().expect("a command");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a browser");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("its output")));
        let mut browser =
            Self { child, input, output, session: None, number: 0, events: Vec::new(), _folder: folder };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach)["sessionId"].as_str().map(str::to_owned);
        browser.session = session;
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Calls a method and waits for what it gives; what it tells meanwhile is kept.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.as_mut().expect("a running browser").write_all(&bytes).expect("a browser that listens");
        loop {
            let told = self.next();
            if told["id"] == self.number {
                assert!(told["error"].is_null(), "{method}: {}", told["error"]);
                return told["result"].clone();
            }
            self.events.push(told);
        }
    }

    fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.output.read_until(0, &mut bytes).expect("a browser that answers");
        assert_eq!(bytes.pop(), Some(0), "the browser ended, or was killed after {PATIENCE} s");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// The window and the colours that the reader likes.
    pub fn window(&mut self, width: u32, dark: &str) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600 }),
        );
        let features = json!([{ "name": "prefers-color-scheme", "value": dark }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Opens a file and waits until it is loaded.
    pub fn open(&mut self, file: &Path) {
        self.events.clear();
        self.call("Page.navigate", &json!({ "url": format!("file://{}", file.display()) }));
        let is_load = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(is_load) {
            let told = self.next();
            self.events.push(told);
        }
    }

    /// The value of an expression of JavaScript; a promise is waited for.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let told = self.call("Runtime.evaluate", &asked);
        assert!(told["exceptionDetails"].is_null(), "{}", told["exceptionDetails"]);
        told["result"]["value"].clone()
    }

    /// The whole page as PNG, or as PDF, in base64.
    pub fn picture(&mut self) -> String {
        let told = self.call("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        told["data"].as_str().expect("a picture").to_owned()
    }

    /// The page on paper, as PDF, in base64.
    pub fn paper(&mut self) -> String {
        let asked = json!({ "preferCSSPageSize": true, "printBackground": true });
        self.call("Page.printToPDF", &asked)["data"].as_str().expect("a document").to_owned()
    }

    /// Every address that was asked for.
    pub fn requests(&self) -> Vec<String> {
        let asked = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        asked.filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned())).collect()
    }

    /// What stands in the console.
    pub fn complaints(&self) -> Vec<String> {
        let loud = [
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        ];
        self.events
            .iter()
            .filter(|event| loud.iter().any(|method| event["method"] == *method))
            .map(|event| event["params"].to_string())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its pipe it ends by itself.
        self.input.take();
        let _ = self.child.wait();
    }
}
