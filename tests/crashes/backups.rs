//! Processes killed during backups, while other threads write.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kpi_store::Store;

use crate::ledger::{Ledger, Verdict, batch, create_and_report, judge, read};
use crate::support::child::{self, Child, Task};
use crate::support::{Random, TestFile, is_long, organization};

const KILLS_PER_FILE: usize = 10;

#[test]
fn a_backup_under_its_name_is_complete_and_nothing_but_drafts_is_left() {
    const TEST: &str = "backups::a_backup_under_its_name_is_complete_and_nothing_but_drafts_is_left";
    if let Some(task) = child::task() {
        return run(&task);
    }
    let kills_wanted = if is_long() { 100 } else { 8 };
    let (mut kills, mut whole, mut drafts, mut seed) = (0, 0, 0, 0x8C0D_E002);
    while kills < kills_wanted {
        let file = TestFile::new();
        let mut ledger = Ledger::default();
        let mut drafts_here = 0;
        for round in 1..=KILLS_PER_FILE.min(kills_wanted) {
            seed += 1;
            let sent = kill_at_a_random_moment(TEST, "copy", &file.path, seed);
            let copies = copies(&sent, &mut ledger);
            whole += copies.iter().filter(|copy| is_whole_or_missing(TEST, copy, seed)).count();
            drafts_here = drafts_among_the_entries(file.folder.path(), seed);
            let verdict = judge(TEST, "read", &file.path, &ledger).unwrap();
            assert_eq!((verdict.lost, verdict.partial), (0, 0), "seed {seed}, kill {round}: the source");
            kills += 1;
        }
        drafts += drafts_here;
    }
    assert!(drafts > 0, "no kill met a backup");
    println!("crashes: {kills} kills in backups left {drafts} drafts; {whole} backups whole, 0 in part");
}

/// The control: a copy without the log lacks what is in it, and half a copy is not one.
#[test]
fn the_harness_detects_an_incomplete_copy() {
    const TEST: &str = "backups::the_harness_detects_an_incomplete_copy";
    if let Some(task) = child::task() {
        return run(&task);
    }
    for role in ["copy the file alone", "copy half of the file"] {
        let file = TestFile::new();
        let mut child = Child::start(TEST, role, &file.path, 0);
        let mut sent: Vec<String> =
            std::iter::from_fn(|| child.receive()).take_while(|line| line != "copied").collect();
        sent.extend(child.kill());
        let copies = copies(&sent, &mut Ledger::default());
        assert_eq!(copies.len(), 1, "{role}");
        let verdict = judge(TEST, "read only", &copies[0].file, &copies[0].before);
        assert!(verdict.as_ref().is_ok_and(|verdict| verdict.lost > 0) || verdict.is_err(), "{role}: {verdict:?}");
    }
}

/// A backup that was begun, and what was acknowledged before.
struct Copy {
    file: PathBuf,
    before: Ledger,
    is_acknowledged: bool,
}

/// The backups that a child reported as begun. Its acknowledgements go into the ledger.
fn copies(sent: &[String], ledger: &mut Ledger) -> Vec<Copy> {
    let mut copies: Vec<Copy> = Vec::new();
    for line in sent {
        ledger.note(std::slice::from_ref(line));
        if let Some(file) = line.strip_prefix("copies to ") {
            copies.push(Copy { file: file.into(), before: ledger.clone(), is_acknowledged: false });
        } else if line == "copied" {
            copies.last_mut().unwrap().is_acknowledged = true;
        }
    }
    copies
}

/// Whether the backup exists. If so it must be complete, and it must exist if it was acknowledged.
fn is_whole_or_missing(test: &str, copy: &Copy, seed: u64) -> bool {
    let file = copy.file.display();
    if !copy.file.exists() {
        assert!(!copy.is_acknowledged, "seed {seed}: {file} was acknowledged and is not there");
        return false;
    }
    let bytes = fs::read(&copy.file).unwrap();
    remove_other_name(&copy.file);
    let verdict = judge(test, "read only", &copy.file, &copy.before);
    let verdict = verdict.unwrap_or_else(|why| panic!("seed {seed}: {file}: {why}"));
    let expected = Verdict { unsaid: verdict.unsaid, ..Verdict::default() };
    assert_eq!(verdict, expected, "seed {seed}: {file}");
    assert!(bytes == fs::read(&copy.file).unwrap(), "seed {seed}: reading changed {file}");
    true
}

/// Removes the name that a backup had as a draft, as the refusal of a file with two names advises.
fn remove_other_name(file: &Path) {
    let metadata = fs::metadata(file).unwrap();
    if metadata.nlink() == 1 {
        return;
    }
    let paths = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let is_same = |path: &PathBuf| path != file && fs::metadata(path).is_ok_and(|other| other.ino() == metadata.ino());
    paths.filter(is_same).for_each(|draft| fs::remove_file(draft).unwrap());
}

/// How many drafts are left in the folder, in which there must be nothing else than these, the store and the backups.
fn drafts_among_the_entries(folder: &Path, seed: u64) -> usize {
    let mut drafts = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_hex = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        // kpi-store-<hex>.draft, and its journal.
        match name.trim_start_matches("kpi-store-").split('.').collect::<Vec<_>>()[..] {
            ["kpis", "db" | "db-wal" | "db-shm"] | ["copy", _, _] => {}
            [hex, "draft"] if is_hex(hex) => drafts += 1,
            [hex, "draft-journal"] if is_hex(hex) => {}
            _ => panic!("seed {seed}: {name} was left"),
        }
    }
    drafts
}

fn kill_at_a_random_moment(test: &str, role: &str, file: &Path, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut child = Child::start(test, role, file, seed);
    let mut sent = Vec::new();
    for _ in 0..random.below(3) {
        sent.extend(std::iter::from_fn(|| child.receive()).take_while(|line| line != "copied"));
        sent.push("copied".to_owned());
    }
    // No event marks the moments inside the next backup, so that only time leads there.
    std::thread::sleep(Duration::from_micros(random.below(20_000) as u64));
    sent.extend(child.kill());
    sent
}

fn run(task: &Task) {
    match task.role.as_str() {
        "read" => read(task, false),
        "read only" => read(task, true),
        "copy" => copy_while_others_write(task),
        role => copy_badly(task, if role == "copy the file alone" { 1 } else { 2 }),
    }
}

/// Makes one backup after another while other threads create, until this process is killed.
fn copy_while_others_write(task: &Task) {
    let store = Store::open(&task.file).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let organization = organization(&store);
            let mut random = Random::new(task.seed.wrapping_mul(2) + thread);
            scope.spawn(move || {
                loop {
                    create_and_report(&organization, batch(&mut random));
                }
            });
        }
        for number in 0_u64.. {
            let target = task.file.with_file_name(format!("copy.{}.{number}", task.seed));
            child::send([format!("copies to {}", target.display())]);
            store.backup_to(&target).unwrap();
            child::send(["copied".to_owned()]);
        }
    });
}

fn copy_badly(task: &Task, divisor: usize) {
    let store = Store::open(&task.file).unwrap();
    let mut random = Random::new(task.seed);
    create_and_report(&organization(&store), batch(&mut random));
    store.clone().close().unwrap();
    let store = Store::open(&task.file).unwrap();
    create_and_report(&organization(&store), batch(&mut random));
    let target = task.file.with_file_name("copy.0.0");
    child::send([format!("copies to {}", target.display())]);
    let bytes = fs::read(&task.file).unwrap();
    fs::write(&target, &bytes[..bytes.len() / divisor]).unwrap();
    child::send(["copied".to_owned()]);
    child::receive();
}
