//! The side of the child process: one peer, one job.
//!
//! The driver starts the program with the arguments that [`arguments`] makes, and waits for each answer, so that one
//! child works at a time. The child answers with lines on its standard output:
//!
//! | it reads | it answers |
//! |---|---|
//! | nothing yet | `ready` and a hash of the content, once everything is prepared and checked |
//! | a number of operations | the nanoseconds or bytes that they took |
//! | `end` | `done`, once what is stored was checked after closing and reopening |
//!
//! A peer that fails panics, which the driver notices by the end of the output.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{Amount, Job, Peer, work};

/// The first argument of a child process.
const CHILD: &str = "child";

/// The arguments of a child process that does this job with this peer in this folder.
#[must_use]
pub fn arguments(peer: &str, job: Job, amount: Amount, folder: &Path) -> [OsString; 5] {
    let amount = if amount == Amount::All { "all" } else { "little" };
    [CHILD.into(), peer.into(), job.name().into(), amount.into(), folder.into()]
}

/// The task of a child process.
#[derive(Debug)]
pub struct Task {
    /// The name of the peer.
    pub peer: String,
    pub(crate) job: Job,
    pub(crate) amount: Amount,
    pub(crate) folder: PathBuf,
}

impl Task {
    /// The task in the arguments of this process; `None` if it is not a child.
    ///
    /// # Panics
    ///
    /// If the arguments of a child are not those of [`arguments`].
    #[must_use]
    pub fn from_arguments() -> Option<Self> {
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next()? != CHILD {
            return None;
        }
        let mut text = || arguments.next().and_then(|argument| argument.into_string().ok()).expect("an argument");
        let (peer, job, amount) = (text(), text(), text());
        let amount = if amount == "all" { Amount::All } else { Amount::Little };
        let folder = arguments.next().expect("a folder").into();
        Some(Self { peer, job: Job::with_name(&job).expect("the name of a job"), amount, folder })
    }

    /// Does the job with this peer, for as many rounds as the driver asks for.
    pub fn run<P: Peer>(self) {
        work::run::<P>(&self);
        answer("done");
    }
}

/// Tells the driver that everything is prepared, then does a round for each number that it sends until it sends `end`.
pub(crate) fn each_round(content: u64, mut round: impl FnMut(u64) -> u64) {
    answer(&format!("ready {content:016x}"));
    for line in io::stdin().lines() {
        match line.expect("a line of the driver").parse() {
            Ok(times) => answer(&round(times).to_string()),
            Err(_) => return,
        }
    }
}

fn answer(line: &str) {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the driver reads");
}
