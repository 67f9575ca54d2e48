//! Children: this test binary run again, one test of it, told by its environment to play a part. What a child has to say
//! it says line by line through a pipe; what it said before it was killed counts.

#![allow(dead_code, reason = "each binary uses some of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PART: &str = "KPI_STORE_CHILD_PART";
const FILE: &str = "KPI_STORE_CHILD_FILE";
const SEED: &str = "KPI_STORE_CHILD_SEED";

/// Tells what a child says from what the test harness around it prints.
const MARK: &str = "> ";

/// Whether the long form of the harnesses was asked for: `KPI_STORE_LONG=1`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("KPI_STORE_LONG").is_some_and(|value| value == "1")
}

/// What a child is told.
pub(crate) struct Order {
    pub(crate) part: String,
    pub(crate) file: PathBuf,
    pub(crate) seed: u64,
}

/// The order of this process, if it is a child.
pub(crate) fn order() -> Option<Order> {
    let part = std::env::var(PART).ok()?;
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    Some(Order { part, file: std::env::var_os(FILE).unwrap().into(), seed })
}

/// Says whole lines to the parent; dies when it is gone.
pub(crate) fn say(lines: impl IntoIterator<Item = String>) {
    // The harness leaves its own line unfinished; so each message begins with a line end.
    let text = lines.into_iter().map(|line| format!("\n{MARK}{line}\n")).collect::<Vec<_>>().concat();
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::abort();
    }
}

/// Waits for a line from the parent; dies when it is gone.
pub(crate) fn hear() -> String {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(1..) => line.trim_end().to_owned(),
        _ => std::process::abort(),
    }
}

/// A child as its parent sees it; killed when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Starts a child that runs `test` of this binary and plays `part` there.
    pub(crate) fn start(test: &str, part: &str, file: &Path, seed: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(PART, part).env(FILE, file).env(SEED, seed.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        Self { process, said }
    }

    /// The next line that it says; none when it is gone.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            let is_whole = self.said.read_line(&mut line).is_ok() && line.ends_with('\n');
            match line.strip_prefix(MARK) {
                // What a kill cut off was not said.
                _ if !is_whole => return None,
                Some(said) => return Some(said.trim_end().to_owned()),
                None => {}
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let pipe = self.process.stdin.as_mut().unwrap();
        pipe.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Kills it, and gives what it had said. It must not have failed before.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        let said = std::iter::from_fn(|| self.line()).collect();
        let complaint = self.complaint();
        assert!(complaint.is_empty(), "the child failed before it was killed: {complaint}");
        said
    }

    /// Lets it end by itself, and gives what it said, or if it failed, why.
    pub(crate) fn end(mut self) -> Result<Vec<String>, String> {
        let said = std::iter::from_fn(|| self.line()).collect();
        let complaint = self.complaint();
        if self.process.wait().unwrap().success() { Ok(said) } else { Err(complaint) }
    }

    fn complaint(&mut self) -> String {
        let mut bytes = Vec::new();
        self.process.stderr.take().unwrap().read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Numbers that look random and follow from the seed alone (`SplitMix64`).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
