//! Several threads or processes open an older file at the same time: all succeed, and one of them upgrades it, after
//! one backup.
//!
//! Short: 4 processes, 3 rounds. Long: 16 processes, 50 rounds, by
//! `KPI_STORE_LONG=1 cargo test --release --lib upgrade -- --nocapture`.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;

use super::*;

#[test]
fn threads_that_open_an_older_file_at_the_same_time_all_succeed() {
    for schema in [&ADDS_A_COLUMN, &REBUILDS] {
        let place = Place::new();
        let (before, start) = (rows(&plain(&place.file)), Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(rows(&open(&place.file, schema).unwrap()), before);
                });
            }
        });
        is_upgraded_once(&place, schema);
    }
}

#[test]
fn processes_that_open_an_older_file_at_the_same_time_all_succeed() {
    if std::env::var_os("OPENS_FILES").is_some() {
        return open_requested_files();
    }
    let (processes, rounds) = if std::env::var_os("KPI_STORE_LONG").is_some() { (16, 50) } else { (4, 3) };
    let mut openers: Vec<_> = (0..processes).map(|_| Opener::start()).collect();
    for round in 0..rounds {
        let place = Place::new();
        for opener in &mut openers {
            writeln!(opener.requests, "{}", place.file.display()).unwrap();
        }
        for opener in &mut openers {
            assert_eq!(opener.answer(), format!("opened {ROWS} rows"), "round {round}");
        }
        is_upgraded_once(&place, &REBUILDS);
    }
    println!("upgrade race: {processes} processes x {rounds} rounds, 0 failures");
    for Opener { mut process, requests, .. } in openers {
        drop(requests);
        assert!(process.wait().unwrap().success());
    }
}

/// The control: the check after a race detects a second upgrade.
#[test]
#[should_panic(expected = "kpis.db.v1.backup.2")]
fn a_second_backup_is_detected() {
    let place = Place::new();
    open(&place.file, &REBUILDS).unwrap();
    fs::write(&place.file, FILE).unwrap();
    open(&place.file, &REBUILDS).unwrap();
    is_upgraded_once(&place, &REBUILDS);
}

fn is_upgraded_once(place: &Place, schema: &'static Schema) {
    // If two connections close at the same time, each may leave the log to the other.
    let names = place.names().into_iter().filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    assert_eq!(names.collect::<Vec<_>>(), ["kpis.db", "kpis.db.v1.backup"]);
    assert_eq!(schema_of(&plain(&place.file)), schema_of_a_fresh_file(schema));
    assert_eq!(rows(&plain(&place.file)), rows(&plain(&Place::new().file)));
    is_version_1(&place.folder.path().join("kpis.db.v1.backup"));
}

/// A process that opens each file that it is told, and answers.
struct Opener {
    process: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Opener {
    fn start() -> Self {
        let test = concat!(module_path!(), "::processes_that_open_an_older_file_at_the_same_time_all_succeed");
        let (_crate, test) = test.split_once("::").unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("OPENS_FILES", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut opener = Self { requests: process.stdin.take().unwrap(), process, answers };
        assert_eq!(opener.answer(), "opened nothing");
        opener
    }

    fn answer(&mut self) -> String {
        self.answers.by_ref().map(Result::unwrap).find(|line| line.starts_with("opened ")).unwrap()
    }
}

fn open_requested_files() {
    println!("\nopened nothing");
    for path in std::io::stdin().lines() {
        // The connection is closed before the answer.
        let opened = open(Path::new(&path.unwrap()), &REBUILDS).map(|connection| rows(&connection).len());
        match opened {
            Ok(rows) => println!("opened {rows} rows"),
            Err(error) => println!("opened nothing: {error:?}"),
        }
    }
}
