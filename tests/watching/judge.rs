//! The changes that were made and those that were reported, as lines of a child process and as the judge sees them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kpi_store::{ChangeState, DatasetId};

/// A change that was acknowledged to a writer.
pub(super) struct Change {
    pub(super) process: u64,
    pub(super) dataset: DatasetId,
    pub(super) state: ChangeState,
    pub(super) began: Time,
    pub(super) answered: Time,
}

/// A change that a watch has reported.
pub(super) struct Report {
    pub(super) dataset: DatasetId,
    pub(super) state: ChangeState,
    pub(super) at: Time,
    /// When the dataset was read after that, and whether it was there.
    pub(super) read: (Time, bool),
}

/// What the watch of a process has reported.
pub(super) struct Watched {
    pub(super) process: u64,
    pub(super) reports: Vec<Report>,
}

/// How long each change took to be reported, and whether a writer of the same process made it.
pub(super) fn judge(changes: &[Change], watched: &Watched) -> Result<Vec<(bool, Duration)>, String> {
    let mut of_dataset: BTreeMap<DatasetId, (Vec<&Change>, Vec<&Report>)> = BTreeMap::new();
    for change in changes {
        of_dataset.entry(change.dataset).or_default().0.push(change);
    }
    for report in &watched.reports {
        of_dataset.entry(report.dataset).or_default().1.push(report);
    }
    let mut delays = Vec::new();
    for (dataset, (changes, reports)) in of_dataset {
        let began_by = |state, at| changes.iter().any(|change| change.state == state && change.began <= at);
        for report in &reports {
            if !began_by(report.state, report.at) {
                return Err(format!("{dataset} was reported as {} before it began", report.state));
            }
            let (read_at, is_there) = report.read;
            if report.state == ChangeState::Present && !is_there && !began_by(ChangeState::Deleted, read_at) {
                return Err(format!("{dataset} was reported and cannot be read"));
            }
            if report.state != ChangeState::Present && is_there {
                return Err(format!("{dataset} was reported as {} and can be read", report.state));
            }
        }
        for change in &changes {
            // The report of a later change of the dataset covers it too.
            let covers = |report: &&&Report| report.at >= change.began && rank(report.state) >= rank(change.state);
            let Some(reported_at) = reports.iter().find(covers).map(|report| report.at) else {
                return Err(format!("{dataset}, {} since {:?}, was not reported", change.state, change.began));
            };
            let delay = reported_at.saturating_sub(change.answered);
            delays.push((change.process == watched.process, delay));
        }
    }
    Ok(delays)
}

/// No dataset is restored here, so states only rise.
fn rank(state: ChangeState) -> u8 {
    match state {
        ChangeState::Present => 0,
        ChangeState::Deleted => 1,
        _ => 2,
    }
}

pub(super) fn print_change(change: &Change) -> String {
    let Change { process, dataset, state, began, answered } = change;
    format!("{process} {dataset} {state} {} {}", print_time(*began), print_time(*answered))
}

pub(super) fn read_change(line: &str) -> Change {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [process, dataset, state, began, answered] => Change {
            process: process.parse().unwrap(),
            dataset: dataset.parse().unwrap(),
            state: read_state(state),
            began: read_time(began),
            answered: read_time(answered),
        },
        _ => panic!("a child sent {line:?}"),
    }
}

pub(super) fn print_report(report: &Report) -> String {
    let Report { dataset, state, at, read: (read_at, is_there) } = report;
    format!("{dataset} {state} {} {} {is_there}", print_time(*at), print_time(*read_at))
}

pub(super) fn read_report(line: &str) -> Report {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [dataset, state, at, read_at, is_there] => Report {
            dataset: dataset.parse().unwrap(),
            state: read_state(state),
            at: read_time(at),
            read: (read_time(read_at), is_there.parse().unwrap()),
        },
        _ => panic!("a child sent {line:?}"),
    }
}

fn read_state(text: &str) -> ChangeState {
    let states = [ChangeState::Present, ChangeState::Deleted, ChangeState::Purged];
    states.into_iter().find(|state| state.as_str() == text).unwrap()
}

/// The time of the clock of the system, which all processes share, since 1970, in whole microseconds.
pub(super) type Time = Duration;

pub(super) fn now() -> Time {
    read_time(&print_time(SystemTime::UNIX_EPOCH.elapsed().unwrap()))
}

pub(super) fn print_time(time: Time) -> String {
    time.as_micros().to_string()
}

pub(super) fn read_time(text: &str) -> Time {
    Duration::from_micros(text.parse().unwrap())
}
