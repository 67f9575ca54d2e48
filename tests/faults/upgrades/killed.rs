//! A process that is killed during an upgrade leaves version 1 or version 2 with every row, and the next opening
//! completes the upgrade.
//!
//! The moments are spread over the time that an upgrade takes on this machine, from before its first step to after its
//! last, and both versions must occur.
//!
//! Short: 10 kills. Long: 100, by `KPI_STORE_LONG=1 cargo test --release --lib upgrade -- --nocapture`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

/// What a killed upgrade left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    version: i64,
    has_backup: bool,
    has_draft: bool,
}

#[test]
fn a_killed_upgrade_leaves_one_version_or_the_other_with_every_row() {
    if let Some(file) = std::env::var_os("FILE_TO_UPGRADE") {
        println!("\nready");
        let _connection = open(Path::new(&file), &REBUILDS).unwrap();
        // Until it is killed.
        return drop(std::io::stdin().lines().next());
    }
    let kills = if std::env::var_os("KPI_STORE_LONG").is_some() { 100 } else { 10 };
    let original = Place::with_many(200);
    let expected = rows(&plain(&original.file));
    let (mut span, mut part, mut all) = (Duration::from_millis(50), 0.0_f64, Vec::new());
    while all.len() < kills || !has_both(&all) {
        let kill = all.len();
        assert!(kill < 10 * kills, "all of one kind: {:?}", all.last());
        // Steps of the golden ratio are spread evenly, however many there are.
        part = (part + 0.618_034).fract();
        let (place, moment) = (copy_of(&original), span.mul_f64(part));
        let mut child = upgrade_in_a_child(&place.file);
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        let when = format!("kill {kill}, {moment:?} after it began");
        let left = left_intact(&place, &expected).unwrap_or_else(|wrong| panic!("{when}: {wrong}"));
        assert!(rows(&open(&place.file, &REBUILDS).unwrap()) == expected, "{when}");
        assert!(!place.names().iter().any(|name| name.contains(".draft")), "{when}: {:?}", place.names());
        // The time that an upgrade takes depends on what else runs on the machine: the span adapts to it.
        span = match left.version {
            1 if part > 0.8 => span.mul_f64(1.25),
            2 if part < 0.6 => span.mul_f64(0.8),
            _ => span,
        };
        all.push(left);
    }
    let count = |is: fn(&Left) -> bool| all.iter().filter(|left| is(left)).count();
    println!(
        "killed upgrades: {}, all intact; version 1 left by {} ({} with a draft, {} with a backup), version 2 by {}",
        all.len(),
        count(|left| left.version == 1),
        count(|left| left.version == 1 && left.has_draft),
        count(|left| left.version == 1 && left.has_backup),
        count(|left| left.version == 2),
    );
}

fn has_both(all: &[Left]) -> bool {
    [1, 2].iter().all(|version| all.iter().any(|left| left.version == *version))
}

/// The controls: an upgrade that is not one transaction, and one that loses a row, are detected.
#[test]
fn half_an_upgrade_and_a_lost_row_are_detected() {
    let original = Place::with_many(2);
    let expected = rows(&plain(&original.file));
    let steps: Vec<&str> = schemas::REBUILD.sql.split_inclusive(";\n").collect();
    for half in 1..steps.len() {
        let place = copy_of(&original);
        let plain = plain(&place.file);
        set_pragma(&plain, "foreign_keys", 0).unwrap();
        plain.execute_batch(&steps[..half].concat()).unwrap();
        assert!(left_intact(&place, &expected).is_err(), "after {half} of {} steps", steps.len());
    }
    let place = copy_of(&original);
    open(&place.file, &REBUILDS).unwrap();
    assert_eq!(left_intact(&place, &expected).map(|left| left.version), Ok(2));
    plain(&place.file).execute_batch("DELETE FROM kpi WHERE dataset_seq = 1 AND position = 3").unwrap();
    assert!(left_intact(&place, &expected).is_err());
}

fn copy_of(original: &Place) -> Place {
    let place = Place::new();
    fs::copy(&original.file, &place.file).unwrap();
    place
}

/// A process that is about to upgrade the file.
fn upgrade_in_a_child(file: &Path) -> Child {
    let test = concat!(module_path!(), "::a_killed_upgrade_leaves_one_version_or_the_other_with_every_row");
    let (_crate, test) = test.split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("FILE_TO_UPGRADE", file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::with_capacity(1, child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0);
    }
    // With a buffer of one byte, nothing after the line was read from the pipe.
    child.stdout = Some(said.into_inner());
    child
}

/// What the killed process left, if it is intact. It is read from a copy, by plain SQLite, which recovers the log
/// there.
fn left_intact(place: &Place, expected: &[Vec<Value>]) -> Result<Left, String> {
    let copy = tempfile::tempdir().unwrap();
    for name in place.names() {
        fs::copy(place.folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let version = intact_version(&copy.path().join("kpis.db"), expected)?;
    let names = place.names();
    let backups: Vec<_> = names.iter().filter(|name| name.ends_with("backup")).collect();
    for backup in &backups {
        match intact_version(&copy.path().join(backup), expected)? {
            1 => {}
            other => return Err(format!("the backup has version {other}")),
        }
    }
    let has_draft = names.iter().any(|name| name.contains(".draft"));
    Ok(Left { version, has_backup: !backups.is_empty(), has_draft })
}

fn intact_version(file: &Path, expected: &[Vec<Value>]) -> Result<i64, String> {
    let plain = plain(file);
    let version = pragma(&plain, "user_version").unwrap();
    let schema = match version {
        1 => &V1,
        2 => &REBUILDS,
        other => return Err(format!("version {other}")),
    };
    let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    if check != "ok" {
        return Err(check);
    }
    if schema_of(&plain) != schema_of_a_fresh_file(schema) {
        return Err(format!("the schema is not that of version {version}"));
    }
    if rows(&plain) != expected {
        return Err(format!("version {version} does not have every row"));
    }
    Ok(version)
}
