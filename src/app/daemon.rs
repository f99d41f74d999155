//! `gatewatch run`: the control plane around the live pipeline. Signals, watchdog, status; never a packet.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::live::Pipeline;
use crate::app::watch::{Watch, watch};
use crate::app::{bounds, commands, status};
use crate::config::Settings;
use crate::config::load::Loaded;
use crate::exit::Fatal;

/// How often the pipeline is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What draining may take when the daemon is told to stop (contract §5).
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Runs until a signal, or until an interface is lost.
pub fn run(file: Option<&Path>, interface: &[String]) -> Result<ExitCode, Fatal> {
    let loaded = load(file, interface)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::Os(format!("cannot start the control plane: {error}")))?;
    let daemon = Daemon { file: file.map(PathBuf::from), interface: interface.to_vec() };
    let ended = runtime.block_on(daemon.control(loaded));
    // A stage that hangs must not keep the process from ending.
    runtime.shutdown_background();
    ended
}

fn load(file: Option<&Path>, interface: &[String]) -> Result<Loaded, Fatal> {
    commands::load(file, |settings| {
        take_folders(settings, |variable| std::env::var_os(variable).map(PathBuf::from));
        if !interface.is_empty() {
            settings.capture.interfaces = interface.to_vec();
        }
    })
}

/// Folders that the service manager made (systemd.exec(5)) take the place of the defaults, never of what is set: each instance of
/// the template unit has its own.
fn take_folders(settings: &mut Settings, given: impl Fn(&str) -> Option<PathBuf>) {
    let defaults = Settings::default();
    // Several folders are joined by colons; which one is meant cannot be told then.
    let one = |variable: &str| given(variable).filter(|path| !path.as_os_str().as_bytes().contains(&b':'));
    let take = |set: &mut PathBuf, default: &Path, folder: Option<PathBuf>| {
        if set == default
            && let Some(folder) = folder
        {
            *set = folder;
        }
    };
    let socket = defaults.state.socket.file_name().unwrap_or_default();
    let runtime = one("RUNTIME_DIRECTORY").map(|folder| folder.join(socket));
    take(&mut settings.state.directory, &defaults.state.directory, one("STATE_DIRECTORY"));
    take(&mut settings.report.directory, &defaults.report.directory, one("LOGS_DIRECTORY"));
    take(&mut settings.state.socket, &defaults.state.socket, runtime);
}

/// Tells systemd; without it this does nothing.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "no service manager to tell");
    }
}

struct Daemon {
    file: Option<PathBuf>,
    interface: Vec<String>,
}

impl Daemon {
    async fn control(self, loaded: Loaded) -> Result<ExitCode, Fatal> {
        let os = |error: std::io::Error| Fatal::Os(format!("cannot take signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(os)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(os)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(os)?;
        let mut rotate = signal(SignalKind::user_defined1()).map_err(os)?;
        let settings = Arc::new(loaded.settings.clone());
        let bounds = bounds::of_capture(&settings, self.file.as_deref());
        let watched = Watch::new(&settings);
        let pipeline = Arc::new(Pipeline::start(&settings, &loaded.hash(), &bounds)?);
        let _server = status::serve(&settings.state.socket, Arc::clone(&pipeline));
        let watching = tokio::spawn(watch(watched, Arc::clone(&pipeline)));
        let daemon = Arc::new(self);
        let names: Vec<String> =
            pipeline.status().interfaces.into_iter().map(|interface| interface.name).collect();
        tracing::info!(interfaces = names.join(" "), reports = %settings.report.directory.display(), "capturing");
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
                    pipeline.log_changes();
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
        match load(self.file.as_deref(), &self.interface) {
            Ok(loaded) => {
                let settings = Arc::new(loaded.settings.clone());
                for key in needs_restart(running, &settings) {
                    tracing::warn!(key, "changed, and takes effect at the next start");
                }
                match pipeline.reload(&settings, &loaded.hash()) {
                    Ok(()) => tracing::info!("settings, rules and databases are reloaded"),
                    Err(error) => tracing::error!(error, "reload failed, the old settings stay in effect"),
                }
            }
            Err(error) => tracing::error!(%error, "reload failed, the old settings stay in effect"),
        }
        notify(&[NotifyState::Ready]);
    }
}

/// Settings that are taken at the start only, and differ.
fn needs_restart(running: &Settings, new: &Settings) -> Vec<&'static str> {
    [
        ("capture", running.capture != new.capture),
        ("state", running.state != new.state),
        ("report.directory", running.report.directory != new.report.directory),
        ("memory.limit", running.memory != new.memory),
        ("confinement", running.confinement != new.confinement),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
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
        take_folders(&mut settings, given);
        assert_eq!(settings.state.directory, Path::new("/var/lib/gatewatch/wan0"));
        assert_eq!(settings.report, Settings::default().report, "which of two cannot be told");
        assert_eq!(settings.state.socket, Path::new("/run/gatewatch/wan0/gatewatch.sock"));

        let mut settings = Settings::default();
        settings.state.directory = PathBuf::from("/data/state");
        settings.state.socket = PathBuf::from("/data/socket");
        let set = settings.state.clone();
        take_folders(&mut settings, given);
        assert_eq!(settings.state, set);
    }
}
