//! Many sources are refused at one site, far more than there ever are: names and passwords from elsewhere are tried.

use crate::classify::behaviour::crowd::Crowd;
use crate::classify::behaviour::login::{Judge, LoginRow};
use crate::config::login::Login as Settings;

/// The row of the table.
pub const ROW: LoginRow = LoginRow {
    id: "auth.stuffing",
    title: "Many sources refused at one site",
    class: None,
    sections: &["login.stuffing"],
    judge: Judge::Site(judge),
};

/// Before a site has a history twice as many sources are asked for: on a large one many people mistype.
fn judge(crowd: &Crowd, settings: &Settings) -> Option<String> {
    let stuffing = &settings.stuffing;
    let least = match crowd.average() {
        Some(_) => stuffing.sources_min as usize,
        None => stuffing.sources_min as usize * 2,
    };
    let usual = crowd.average().unwrap_or_default() * f64::from(stuffing.factor);
    if !stuffing.enabled || crowd.acts() < least || !crowd.is_due() {
        return None;
    }
    let (sources, _) = crowd.distinct();
    (sources >= least && crowd.acts() as f64 >= usual)
        .then(|| format!("{sources} sources refused at one site"))
}
