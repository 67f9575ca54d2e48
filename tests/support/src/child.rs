//! Child processes: the test binary run again with one of its tests, which its environment gives a task.
//!
//! A child reports line by line through a pipe. What it reported before it was killed counts.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROLE: &str = "KPI_STORE_CHILD_ROLE";
const FILE: &str = "KPI_STORE_CHILD_FILE";
const SEED: &str = "KPI_STORE_CHILD_SEED";

/// Tells the lines of a child from those that the test harness around it prints.
const MARK: &str = "> ";

/// What a child is to do.
#[derive(Debug)]
pub struct Task {
    /// Which of the things that the test needs a child for.
    pub role: String,
    /// The path of the store.
    pub file: PathBuf,
    /// The seed of what is random in it, or another number.
    pub seed: u64,
}

/// The task of this process, if it is a child.
pub fn task() -> Option<Task> {
    let role = std::env::var(ROLE).ok()?;
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    Some(Task { role, file: std::env::var_os(FILE).unwrap().into(), seed })
}

/// Sends whole lines to the parent; aborts when it is gone.
pub fn send(lines: impl IntoIterator<Item = String>) {
    // The harness leaves its own line unfinished; so each message begins with a line end.
    let text = lines.into_iter().map(|line| format!("\n{MARK}{line}\n")).collect::<Vec<_>>().concat();
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::abort();
    }
}

/// Waits for a line from the parent; aborts when it is gone.
pub fn receive() -> String {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(1..) => line.trim_end().to_owned(),
        _ => std::process::abort(),
    }
}

/// A child as its parent sees it; killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Starts a child that runs `test` of this binary and gets this task there.
    pub fn start(test: &str, role: &str, file: &Path, seed: u64) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), test, role, file, seed)
    }

    pub(crate) fn start_by(mut command: Command, test: &str, role: &str, file: &Path, seed: u64) -> Self {
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env(FILE, file).env(SEED, seed.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = spawn(&mut command);
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// The next line that it sends; none when it is gone.
    pub fn receive(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            let is_whole = self.output.read_line(&mut line).is_ok() && line.ends_with('\n');
            match line.strip_prefix(MARK) {
                // A line that a kill cut off was not sent.
                _ if !is_whole => return None,
                Some(sent) => return Some(sent.trim_end().to_owned()),
                None => {}
            }
        }
    }

    /// Sends it a line.
    pub fn send(&mut self, line: &str) {
        let pipe = self.process.stdin.as_mut().unwrap();
        pipe.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Kills it, and returns the rest of what it had sent. It must not have failed before.
    pub fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        let sent = std::iter::from_fn(|| self.receive()).collect();
        let complaint = self.complaint();
        assert!(complaint.is_empty(), "the child failed before it was killed: {complaint}");
        sent
    }

    /// Waits until it ends by itself, and returns the rest of what it sent.
    ///
    /// # Errors
    ///
    /// What it printed, if it failed.
    pub fn wait(mut self) -> Result<Vec<String>, String> {
        let sent = std::iter::from_fn(|| self.receive()).collect();
        let complaint = self.complaint();
        if self.process.wait().unwrap().success() { Ok(sent) } else { Err(complaint) }
    }

    fn complaint(&mut self) -> String {
        let mut bytes = Vec::new();
        self.process.stderr.take().unwrap().read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A process that another test is just starting may still hold a copy of the program open for writing.
fn spawn(command: &mut Command) -> std::process::Child {
    loop {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            spawned => return spawned.unwrap(),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
