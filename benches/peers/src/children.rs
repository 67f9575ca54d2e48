//! Child processes: a program with peers is started for one peer and one job.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kpi_store_peers_harness::{Amount, Job, child};

use crate::peers::{PeerInfo, Program};

/// The name of the program in the package `other_sqlite`.
const OTHER_SQLITE: &str = "kpi-store-peers-other-sqlite";

/// The programs with peers, and where they are.
pub(crate) struct Programs {
    driver: PathBuf,
    other_sqlite: PathBuf,
}

impl Programs {
    /// Builds what these peers need and is not this program, in the same profile.
    pub(crate) fn build(peers: &[&PeerInfo]) -> Result<Self, String> {
        let driver = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
        let other_sqlite = driver.with_file_name(OTHER_SQLITE).with_extension(std::env::consts::EXE_EXTENSION);
        if peers.iter().any(|peer| peer.program == Program::OtherSqlite) {
            build_other_sqlite(&driver)?;
        }
        Ok(Self { driver, other_sqlite })
    }

    fn path(&self, program: Program) -> &Path {
        match program {
            Program::Driver => &self.driver,
            Program::OtherSqlite => &self.other_sqlite,
        }
    }
}

/// Builds it beside this program.
fn build_other_sqlite(driver: &Path) -> Result<(), String> {
    // The program is in a folder for its profile.
    let target = driver.parent().and_then(Path::parent).ok_or("this program is in no target folder")?;
    // `cargo run` says which cargo it is.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo reads the configuration of the folder in which it runs.
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("other_sqlite"));
    cargo.args(["build", "--locked", "--target-dir"]).arg(target);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err("the package other_sqlite was not built; the reason is above".to_owned()),
    }
}

/// A peer that is ready to do a job. It is killed if it is dropped before it has ended.
pub(crate) struct Running {
    pub(crate) peer: &'static PeerInfo,
    pub(crate) job: Job,
    /// Of the content of its datasets: the same for every peer.
    pub(crate) content: String,
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a peer and waits until it has prepared the job.
    pub(crate) fn start(
        programs: &Programs,
        peer: &'static PeerInfo,
        job: Job,
        amount: Amount,
        data: &Path,
    ) -> Result<Self, String> {
        let mut process = Command::new(programs.path(peer.program))
            .args(child::arguments(peer.name, job, amount, data))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", peer.name))?;
        let (requests, answers) = (process.stdin.take(), process.stdout.take());
        let (Some(requests), Some(answers)) = (requests, answers) else {
            return Err(format!("{} has no pipes", peer.name));
        };
        let mut started =
            Self { peer, job, content: String::new(), process, requests, answers: BufReader::new(answers) };
        started.content = started.answer()?;
        Ok(started)
    }

    /// One round of this number of operations: the nanoseconds or bytes that it took.
    pub(crate) fn round(&mut self, times: u64) -> Result<u64, String> {
        self.send(&times.to_string())?;
        let answer = self.answer()?;
        answer.parse().map_err(|_| self.failed())
    }

    /// Lets the peer check what it has stored, and waits for its end.
    pub(crate) fn end(mut self) -> Result<(), String> {
        self.send("end")?;
        let answer = self.answer()?;
        let status = self.process.wait().map_err(|_| self.failed())?;
        if answer == "done" && status.success() { Ok(()) } else { Err(self.failed()) }
    }

    fn send(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.requests, "{line}").map_err(|_| self.failed())
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(length) if length > 0 => Ok(line.trim_end().to_owned()),
            _ => Err(self.failed()),
        }
    }

    fn failed(&self) -> String {
        format!("{} has failed in the job {:?}; its reason is above", self.peer.name, self.job.name())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless another peer has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
