//! Kill -9 in the middle of backups, while others write.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kpi_store::{OrganizationId, Store};

use crate::child::{self, Child, Order, Random, is_long};
use crate::ledger::{Ledger, Verdict, batch, create_and_say, judge, read};

const KILLS_PER_FILE: usize = 10;

#[test]
fn a_file_that_has_the_name_of_a_backup_is_whole_and_what_else_is_left_says_what_it_is() {
    const TEST: &str = "backups::a_file_that_has_the_name_of_a_backup_is_whole_and_what_else_is_left_says_what_it_is";
    if let Some(order) = child::order() {
        return play(&order);
    }
    let kills_wanted = if is_long() { 100 } else { 8 };
    let (mut kills, mut whole, mut drafts, mut seed) = (0, 0, 0, 0x8C0D_E002);
    while kills < kills_wanted {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kpis.db");
        let mut ledger = Ledger::default();
        let mut drafts_here = 0;
        for round in 1..=KILLS_PER_FILE.min(kills_wanted) {
            seed += 1;
            let said = kill_at_a_random_moment(TEST, "copy", &file, seed);
            let copies = copies(&said, &mut ledger);
            whole += copies.iter().filter(|copy| is_whole_or_missing(TEST, copy, seed)).count();
            drafts_here = drafts_among_the_entries(folder.path(), seed);
            let verdict = judge(TEST, "read", &file, &ledger).unwrap();
            assert_eq!((verdict.lost, verdict.partial), (0, 0), "seed {seed}, kill {round}: the source");
            kills += 1;
        }
        drafts += drafts_here;
    }
    assert!(drafts > 0, "no kill met a backup");
    println!("crashes: {kills} kills in backups left {drafts} drafts; {whole} backups whole, 0 in part");
}

/// The control: a copy of the file alone lacks what is in its log; half a copy is none.
#[test]
fn the_harness_sees_a_copy_that_is_not_whole() {
    const TEST: &str = "backups::the_harness_sees_a_copy_that_is_not_whole";
    if let Some(order) = child::order() {
        return play(&order);
    }
    for part in ["copy the file alone", "copy half of the file"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Child::start(TEST, part, &folder.path().join("kpis.db"), 0);
        let mut said: Vec<String> = std::iter::from_fn(|| child.line()).take_while(|line| line != "copied").collect();
        said.extend(child.kill());
        let copies = copies(&said, &mut Ledger::default());
        assert_eq!(copies.len(), 1, "{part}");
        let verdict = judge(TEST, "read only", &copies[0].file, &copies[0].before);
        assert!(verdict.as_ref().is_ok_and(|verdict| verdict.lost > 0) || verdict.is_err(), "{part}: {verdict:?}");
    }
}

/// A backup that was begun, and what was acknowledged before.
struct Copy {
    file: PathBuf,
    before: Ledger,
    is_acknowledged: bool,
}

/// The backups that a child said it began; notes what it acknowledged.
fn copies(said: &[String], ledger: &mut Ledger) -> Vec<Copy> {
    let mut copies: Vec<Copy> = Vec::new();
    for line in said {
        ledger.note(std::slice::from_ref(line));
        if let Some(file) = line.strip_prefix("copies to ") {
            copies.push(Copy { file: file.into(), before: ledger.clone(), is_acknowledged: false });
        } else if line == "copied" {
            copies.last_mut().unwrap().is_acknowledged = true;
        }
    }
    copies
}

/// Whether the backup is there; if so it is whole, and it must be if that was acknowledged.
fn is_whole_or_missing(test: &str, copy: &Copy, seed: u64) -> bool {
    let file = copy.file.display();
    if !copy.file.exists() {
        assert!(!copy.is_acknowledged, "seed {seed}: {file} was acknowledged and is not there");
        return false;
    }
    let bytes = fs::read(&copy.file).unwrap();
    let verdict = judge(test, "read only", &copy.file, &copy.before);
    let verdict = verdict.unwrap_or_else(|why| panic!("seed {seed}: {file}: {why}"));
    let expected = Verdict { unsaid: verdict.unsaid, ..Verdict::default() };
    assert_eq!(verdict, expected, "seed {seed}: {file}");
    assert!(bytes == fs::read(&copy.file).unwrap(), "seed {seed}: reading changed {file}");
    true
}

/// How many drafts were left in the folder; there must be nothing else than these, the store and the backups.
fn drafts_among_the_entries(folder: &Path, seed: u64) -> usize {
    let mut drafts = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_hex = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        // kpi-store-<hex>.draft, and what SQLite keeps beside it.
        match name.trim_start_matches("kpi-store-").split('.').collect::<Vec<_>>()[..] {
            ["kpis", "db" | "db-wal" | "db-shm"] | ["copy", _, _] => {}
            [hex, "draft"] if is_hex(hex) => drafts += 1,
            [hex, "draft-journal"] if is_hex(hex) => {}
            _ => panic!("seed {seed}: {name} was left"),
        }
    }
    drafts
}

fn kill_at_a_random_moment(test: &str, part: &str, file: &Path, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut child = Child::start(test, part, file, seed);
    let mut said = Vec::new();
    for _ in 0..random.below(3) {
        said.extend(std::iter::from_fn(|| child.line()).take_while(|line| line != "copied"));
        said.push("copied".to_owned());
    }
    // Into the next one; nothing but time leads inside.
    std::thread::sleep(Duration::from_micros(random.below(20_000)));
    said.extend(child.kill());
    said
}

fn play(order: &Order) {
    match order.part.as_str() {
        "read" => read(order, false),
        "read only" => read(order, true),
        "copy" => copy_while_others_write(order),
        part => copy_badly(order, if part == "copy the file alone" { 1 } else { 2 }),
    }
}

/// Makes one backup after the other while other threads create, until this process is killed.
fn copy_while_others_write(order: &Order) {
    let store = Store::open(&order.file).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let organization = store.organization(OrganizationId::new());
            let mut random = Random::new(order.seed.wrapping_mul(2) + thread);
            scope.spawn(move || {
                loop {
                    create_and_say(&organization, batch(&mut random));
                }
            });
        }
        for number in 0_u64.. {
            let target = order.file.with_file_name(format!("copy.{}.{number}", order.seed));
            child::say([format!("copies to {}", target.display())]);
            store.backup_to(&target).unwrap();
            child::say(["copied".to_owned()]);
        }
    });
}

fn copy_badly(order: &Order, part: usize) {
    let store = Store::open(&order.file).unwrap();
    let mut random = Random::new(order.seed);
    create_and_say(&store.organization(OrganizationId::new()), batch(&mut random));
    store.clone().close().unwrap();
    let store = Store::open(&order.file).unwrap();
    create_and_say(&store.organization(OrganizationId::new()), batch(&mut random));
    let target = order.file.with_file_name("copy.0.0");
    child::say([format!("copies to {}", target.display())]);
    let bytes = fs::read(&order.file).unwrap();
    fs::write(&target, &bytes[..bytes.len() / part]).unwrap();
    child::say(["copied".to_owned()]);
    child::hear();
}
