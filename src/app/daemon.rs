//! `gatewatch run`: the control plane around the live pipeline. Signals, watchdog, status; never a packet.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::live::Pipeline;
use crate::app::logging::limit::ASKED;
use crate::app::metrics::serve::Doors;
use crate::app::watch::{Watch, watch};
use crate::app::{bounds, loading, logging, status};
use crate::cli::ConfigArg;
use crate::config::load::{Loaded, Source, Sources};
use crate::config::{Settings, restart};
use crate::exit::Fatal;

/// How often the pipeline is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What draining may take when the daemon is told to stop (contract §5).
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Runs until a signal, or until an interface is lost.
pub fn run(config: ConfigArg, interface: Vec<String>) -> Result<ExitCode, Fatal> {
    let daemon = Daemon { config, interface };
    let loaded = daemon.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::Os(format!("cannot start the control plane: {error}")))?;
    let ended = runtime.block_on(daemon.control(loaded));
    // A stage that hangs must not keep the process from ending.
    runtime.shutdown_background();
    ended
}

/// Folders that the service manager made (systemd.exec(5)) take the place of the defaults, never of what is set: each instance of
/// the template unit has its own.
fn take_folders(settings: &mut Settings, sources: &mut Sources, given: impl Fn(&str) -> Option<PathBuf>) {
    let defaults = Settings::default();
    // Several folders are joined by colons; which one is meant cannot be told then.
    let one = |variable: &str| given(variable).filter(|path| !path.as_os_str().as_bytes().contains(&b':'));
    let mut take =
        |set: &mut PathBuf, (key, variable): (&str, &'static str), default: &Path, name: &OsStr| {
            if set == default
                && let Some(folder) = one(variable)
            {
                *set = if name.is_empty() { folder } else { folder.join(name) };
                sources.insert(key.to_owned(), Source::Service(variable));
            }
        };
    let (state, report) = (&mut settings.state, &mut settings.report);
    let own = OsStr::new("");
    take(&mut state.directory, ("state.directory", "STATE_DIRECTORY"), &defaults.state.directory, own);
    take(&mut report.directory, ("report.directory", "LOGS_DIRECTORY"), &defaults.report.directory, own);
    let socket = &defaults.state.socket;
    let name = socket.file_name().unwrap_or_default();
    take(&mut state.socket, ("state.socket", "RUNTIME_DIRECTORY"), socket, name);
}

/// Tells systemd; without it this does nothing.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "no service manager to tell");
    }
}

struct Daemon {
    config: ConfigArg,
    interface: Vec<String>,
}

impl Daemon {
    /// The settings, as of now: what the command line gives stays in effect at a reload.
    fn load(&self) -> Result<Loaded, Fatal> {
        let given = loading::interfaces(&self.interface).into_iter().collect();
        loading::load_with(&self.config, given, |settings, sources| {
            take_folders(settings, sources, |variable| std::env::var_os(variable).map(PathBuf::from));
        })
    }

    async fn control(self, loaded: Loaded) -> Result<ExitCode, Fatal> {
        let os = |error: std::io::Error| Fatal::Os(format!("cannot take signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(os)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(os)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(os)?;
        let mut rotate = signal(SignalKind::user_defined1()).map_err(os)?;
        let settings = Arc::new(loaded.settings.clone());
        let bounds = bounds::of_capture(&settings, self.config.config.as_deref());
        let watched = Watch::new(&settings);
        // Before the confinement, which leaves no way to make a socket of TCP.
        let doors = Doors::open(&settings);
        let pipeline = Arc::new(Pipeline::start(&settings, &loaded.hash(), &bounds)?);
        let _server = status::serve(&settings.state.socket, Arc::clone(&pipeline));
        let _metrics = doors.serve(&pipeline);
        let watching = tokio::spawn(watch(watched, Arc::clone(&pipeline)));
        let daemon = Arc::new(self);
        let names: Vec<String> =
            pipeline.status().interfaces.into_iter().map(|interface| interface.name).collect();
        tracing::info!(interfaces = names.join(" "), reports = %settings.report.directory.display(), "capturing");
        pipeline.log_cut();
        let mut said = format!("capturing on {}", names.join(", "));
        notify(&[NotifyState::Ready, NotifyState::Status(&said)]);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heartbeat = pipeline.heartbeat();
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    // Databases are read for seconds: not on this thread.
                    let (daemon, pipeline, settings) =
                        (Arc::clone(&daemon), Arc::clone(&pipeline), Arc::clone(&settings));
                    drop(tokio::task::spawn_blocking(move || daemon.reload(&pipeline, &settings)));
                }
                _ = rotate.recv() => {
                    tracing::info!("starting a new part of the events file");
                    pipeline.rotate();
                }
                _ = look.tick() => {
                    if !pipeline.is_running() {
                        break;
                    }
                    pipeline.look();
                    logging::tell_left_out(false);
                    let state = format!("{} on {}", pipeline.status().state, names.join(", "));
                    if state != said {
                        notify(&[NotifyState::Status(&state)]);
                        said = state;
                    }
                    let now = pipeline.heartbeat();
                    if now != heartbeat {
                        heartbeat = now;
                        notify(&[NotifyState::Watchdog]);
                    }
                }
            }
        }
        watching.abort();
        stop(pipeline).await
    }

    /// Takes new settings into use; bad ones are told and change nothing.
    fn reload(&self, pipeline: &Pipeline, running: &Settings) {
        let reloading = NotifyState::monotonic_usec_now().ok();
        notify(
            &reloading.map_or_else(|| vec![NotifyState::Reloading], |now| vec![NotifyState::Reloading, now]),
        );
        match self.load() {
            Ok(loaded) => {
                let settings = Arc::new(loaded.settings.clone());
                let keys = restart::needed_for(running, &settings).join(" ");
                if !keys.is_empty() {
                    tracing::warn!(keys, "changed, and take effect at the next start");
                }
                match pipeline.reload(&settings, &loaded.hash()) {
                    Ok(()) => tracing::info!(target: ASKED, "settings, rules and databases are reloaded"),
                    Err(error) => tracing::error!(error, "reload failed, the old settings stay in effect"),
                }
            }
            Err(error) => tracing::error!(%error, "reload failed, the old settings stay in effect"),
        }
        notify(&[NotifyState::Ready]);
    }
}

/// Drains, writes and ends within the time the contract gives.
#[expect(clippy::print_stdout, reason = "the last word is for whoever pressed Ctrl-C")]
async fn stop(pipeline: Arc<Pipeline>) -> Result<ExitCode, Fatal> {
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping: draining what was captured");
    pipeline.stop();
    let joined = Arc::clone(&pipeline);
    let drained = tokio::time::timeout(DRAIN_MAX, tokio::task::spawn_blocking(move || joined.join())).await;
    let last = match drained {
        Ok(Ok(last)) => last?,
        Ok(Err(error)) => return Err(Fatal::Bug(format!("a thread could not be joined: {error}"))),
        Err(_) => {
            let hung = pipeline.unfinished().join(", ");
            return Err(Fatal::Bug(format!("did not end within {} s: {hung}", DRAIN_MAX.as_secs())));
        }
    };
    logging::tell_left_out(true);
    tracing::info!("stopped: everything captured is written");
    if let Some((path, report)) = last {
        println!("{}", report.headline.text);
        println!("report: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_service_manager_replace_defaults_and_nothing_that_is_set() {
        let given = |variable: &str| match variable {
            "STATE_DIRECTORY" => Some(PathBuf::from("/var/lib/gatewatch/wan0")),
            "LOGS_DIRECTORY" => Some(PathBuf::from("/var/log/gatewatch/wan0:/var/log/other")),
            "RUNTIME_DIRECTORY" => Some(PathBuf::from("/run/gatewatch/wan0")),
            _ => None,
        };
        let mut settings = Settings::default();
        let mut sources = Sources::new();
        take_folders(&mut settings, &mut sources, given);
        assert_eq!(sources["state.socket"].to_string(), "service manager ($RUNTIME_DIRECTORY)");
        assert_eq!(settings.state.directory, Path::new("/var/lib/gatewatch/wan0"));
        assert_eq!(settings.report, Settings::default().report, "which of two cannot be told");
        assert_eq!(settings.state.socket, Path::new("/run/gatewatch/wan0/gatewatch.sock"));

        let mut settings = Settings::default();
        settings.state.directory = PathBuf::from("/data/state");
        settings.state.socket = PathBuf::from("/data/socket");
        let set = settings.state.clone();
        let mut sources = Sources::new();
        take_folders(&mut settings, &mut sources, given);
        assert_eq!(settings.state, set);
        assert!(!sources.contains_key("state.directory"));
    }
}
