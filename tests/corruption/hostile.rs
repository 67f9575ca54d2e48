//! Malicious files: each is refused and left as it was, or every call returns what was stored or reports damage. No
//! call hangs, no memory or disk is exhausted, and no organization sees another's rows.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kpi_store::Store;

use crate::look::look;
use crate::pages::{Pages, header_of, number};
use crate::support::{TestFile, is_long, plain_sqlite};
use crate::{Original, watchdog};

/// What must happen with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Refused,
    /// It opens; damaged datasets are errors, and verify finds them.
    Found,
    /// It opens and is sound.
    Harmless,
}
use Then::{Found, Harmless, Refused};

/// B-trees by the table or index that they hold.
const TREES: [(&str, Then); 9] = [
    ("sqlite_schema", Refused),
    ("kpi_store_migration", Refused),
    ("dataset", Found),
    ("sqlite_autoindex_dataset_1", Found),
    ("dataset_by_organization", Found),
    ("kpi", Found),
    ("purged_dataset", Found),
    ("organization_property", Found),
    ("counter", Found),
];

#[test]
fn endless_trees_do_not_hang_a_call() {
    let hostile = Hostile::new();
    for (name, then) in TREES {
        hostile.becomes(then, &format!("{name} leads to itself"), |pages| {
            let root = pages.root(name);
            pages.lead_to_itself(root);
        });
        // SQLite follows a tree to a depth of 20.
        for levels in if is_long() { vec![2, 3, 8, 18, 19, 20, 25] } else { vec![2, 18] } {
            hostile.becomes(then, &format!("{name} multiplied on {levels} levels"), |pages| {
                let root = pages.root(name);
                pages.multiply(root, levels);
            });
        }
        hostile.becomes(then, &format!("the cells of {name} lead beyond the page"), |pages| {
            let root = pages.root(name);
            pages.page(root)[header_of(root) + 3..][..2].copy_from_slice(&[0x7f, 0xff]);
        });
    }
}

/// The bound is that of the length of the file, for which the path must be passed on as it is.
#[cfg(unix)]
#[test]
fn endless_trees_do_not_hang_a_call_where_the_path_is_not_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let hostile = Hostile::new();
    let alive = watchdog();
    for (name, then) in TREES {
        let mut pages = hostile.pages.clone();
        let root = pages.root(name);
        pages.multiply(root, 18);
        for is_read_only in [true, false] {
            let what = format!("{name}, read-only: {is_read_only}");
            alive.send(what.clone()).unwrap();
            let mut file = TestFile::new();
            file.path = file.folder.path().join(std::ffi::OsStr::from_bytes(b"kp\xff\xfe.db"));
            fs::write(&file.path, &pages.0).unwrap();
            let seen = look(&file.path, &hostile.original.stored, is_read_only, &what);
            assert_eq!((seen.wrong, seen.is_open), (0, then != Refused), "{what}");
            assert!(!seen.is_open || seen.findings.is_none_or(|findings| !findings.is_empty()), "{what}");
        }
    }
}

#[test]
fn a_backup_of_an_endless_tree_does_not_fill_the_disk() {
    let hostile = Hostile::new();
    for name in ["kpi", "dataset"] {
        let mut pages = hostile.pages.clone();
        let root = pages.root(name);
        pages.multiply(root, 18);
        let file = TestFile::with(&pages.0);
        let store = Store::open(&file.path).unwrap();
        let folder = file.folder.path().to_owned();
        let longest = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&longest);
        let copied = store.backup_to_with(file.path.with_extension("copy"), move |_| {
            let drafts = fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap())
                .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "draft"));
            for draft in drafts {
                seen.fetch_max(draft.metadata().unwrap().len(), Relaxed);
            }
            ControlFlow::Continue(())
        });
        assert_eq!(copied.unwrap_err().code(), "corrupt", "{name}");
        let (longest, length) = (longest.load(Relaxed), pages.0.len() as u64);
        assert!(longest <= 2 * length, "{name}: a copy of {length} bytes grew to {longest}");
    }
}

/// The control: SQLite reads these pages, and would never finish.
#[test]
fn plain_sqlite_reads_endless_trees_until_it_is_interrupted() {
    let hostile = Hostile::new();
    let counts = [
        ("dataset", "SELECT count(*) FROM dataset NOT INDEXED WHERE length(id) > 0"),
        (
            "dataset_by_organization",
            "SELECT count(*) FROM dataset INDEXED BY dataset_by_organization WHERE organization_id > x''
             AND deleted_at IS NULL",
        ),
        ("kpi", "SELECT count(*) FROM kpi WHERE length(id) > 0"),
    ];
    for (name, count) in counts {
        let mut pages = hostile.pages.clone();
        let root = pages.root(name);
        pages.multiply(root, 18);
        let file = TestFile::with(&pages.0);
        let mut plain = plain_sqlite(&file.path);
        let mut left = 1_000;
        let is_over = move || {
            left -= 1;
            left == 0
        };
        plain.progress_handler(10_000, Some(is_over)).unwrap();
        let ended = plain.query_one(count, [], |row| row.get::<_, i64>(0)).unwrap_err();
        assert_eq!(ended.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted), "{name}: {ended}");
    }
}

/// Changes of the file header: the offset, the bytes.
const HEADERS: &[(&str, usize, &[u8], Then)] = &[
    ("pages of 512 bytes", 16, &[2, 0], Refused),
    ("pages of 65,536 bytes", 16, &[0, 1], Refused),
    ("pages of no byte", 16, &[0, 0], Refused),
    ("pages of 3,000 bytes", 16, &[0x0b, 0xb8], Refused),
    ("a version that none can write", 18, &[9], Harmless),
    ("a version that none can read", 19, &[9], Refused),
    ("a rollback journal", 18, &[1, 1], Harmless),
    ("a page with nothing but reserved bytes", 20, &[255], Refused),
    ("other fractions", 21, &[63, 31, 31], Refused),
    ("four thousand million pages", 28, &[0xff; 4], Refused),
    ("a page more than there is", 28, &[0, 0, 0x7f, 0], Refused),
    ("no page", 28, &[0; 4], Harmless),
    ("a list of free pages that begins with the first", 32, &[0, 0, 0, 1, 0, 0, 0, 9], Found),
    ("a list of free pages beyond the file", 32, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1], Found),
    ("four thousand million free pages", 36, &[0xff; 4], Found),
    ("no schema format", 44, &[0; 4], Harmless),
    ("a schema format to come", 44, &[0, 0, 0, 9], Refused),
    ("a cache of eight terabytes", 48, &[0x7f, 0xff, 0xff, 0xff], Harmless),
    ("pages that move by themselves", 52, &[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], Refused),
    ("another encoding", 56, &[0, 0, 0, 2], Refused),
    ("an encoding that none has", 56, &[0, 0, 0, 77], Harmless),
];

#[test]
fn false_headers_are_refused_or_harmless() {
    let hostile = Hostile::new();
    for (what, place, bytes, then) in HEADERS {
        hostile.becomes(*then, what, |pages| pages.0[*place..place + bytes.len()].copy_from_slice(bytes));
    }
}

#[test]
fn free_pages_that_are_in_use_give_no_wrong_row() {
    let hostile = Hostile::new();
    for name in ["dataset", "sqlite_autoindex_dataset_1", "dataset_by_organization", "kpi", "kpi_store_migration"] {
        for trunk_is_in_use in [true, false] {
            let what = format!("{name} is free, {}", if trunk_is_in_use { "and lists others" } else { "by a list" });
            hostile.becomes(Found, &what, |pages| {
                let root = pages.root(name);
                let mut list = [0_u8; 4096];
                list[7] = 1;
                list[8..12].copy_from_slice(&number(root));
                let trunk = if trunk_is_in_use { root } else { pages.append(&list) };
                pages.set_header(32, trunk);
                pages.set_header(36, 2);
            });
        }
    }
    hostile.becomes(Found, "a list of free pages that leads to itself", |pages| {
        let mut list = [0_u8; 4096];
        list[..4].copy_from_slice(&number(pages.0.len() / 4096 + 1));
        let trunk = pages.append(&list);
        pages.set_header(32, trunk);
        pages.set_header(36, 1_000_000);
    });
}

/// Changes by plain SQL that leave the schema as it was, to the letter.
const ALTERED: &[(&str, Then, &str)] = &[
    (
        "statistics of huge tables",
        Harmless,
        "ANALYZE; UPDATE sqlite_stat1 SET stat = '9000000000000000000 9000000000000000000 1'",
    ),
    ("statistics of negative tables", Harmless, "ANALYZE; UPDATE sqlite_stat1 SET stat = '-1 -1 -1 sz=-5'"),
    (
        "statistics without order",
        Harmless,
        "ANALYZE; UPDATE sqlite_stat1 SET stat = '1000000 1000 1 unordered noskipscan'",
    ),
    ("statistics that are a book", Harmless, "ANALYZE; UPDATE sqlite_stat1 SET stat = printf('%.*c', 900000, '7')"),
    (
        "statistics that are no text",
        Harmless,
        "ANALYZE; UPDATE sqlite_stat1 SET stat = zeroblob(9), idx = x'00', tbl = 5",
    ),
    ("statistics that SQLite may not read", Harmless, "ANALYZE; UPDATE sqlite_stat1 SET stat = zeroblob(2000000)"),
    (
        "statistics of the schema",
        Harmless,
        "ANALYZE; UPDATE sqlite_stat1 SET tbl = 'sqlite_schema', idx = 'sqlite_schema'",
    ),
    (
        "samples that are no rows",
        Harmless,
        "ANALYZE; UPDATE sqlite_stat4 SET sample = randomblob(500), neq = '-9 x', nlt = '', ndlt = NULL",
    ),
    ("samples that are a book", Harmless, "ANALYZE; UPDATE sqlite_stat4 SET sample = zeroblob(90000)"),
    (
        "samples with a header of a million bytes",
        Harmless,
        "ANALYZE; UPDATE sqlite_stat4 SET sample = x'bfffff7f' || zeroblob(64)",
    ),
    ("the last place of all", Found, "UPDATE dataset SET seq = 9223372036854775807 WHERE seq = 60"),
    ("a book in the history", Refused, "UPDATE kpi_store_migration SET applied_on = printf('%.*c', 900000, '9')"),
    (
        "a history without an end",
        Refused,
        "WITH RECURSIVE more (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM more LIMIT 200000)
        INSERT INTO kpi_store_migration SELECT n, 'x', 'x', 'x' FROM more",
    ),
];

#[test]
fn changes_by_sql_below_the_schema_give_no_wrong_row() {
    let hostile = Hostile::new();
    for (what, then, sql) in ALTERED {
        hostile.becomes(*then, what, |pages| *pages = pages.altered(sql));
    }
}

#[test]
fn swapped_trees_give_no_wrong_row() {
    let hostile = Hostile::new();
    for (one, _) in &TREES[1..] {
        for (other, _) in TREES.iter().filter(|(other, _)| other != one) {
            hostile.gives_no_wrong_row(&format!("{one} is {other}"), |pages| {
                let root = pages.root(other);
                *pages = pages.altered(&format!(
                    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = {root} WHERE name = '{one}'"
                ));
            });
        }
    }
}

#[test]
fn cyclic_chains_of_pages_give_no_wrong_row() {
    let hostile = Hostile::new();
    for table in ["dataset", "kpi"] {
        hostile.becomes(Found, &format!("a text of {table} in a circle"), |pages| {
            *pages = pages.altered(&format!(
                "UPDATE {table} SET description = printf('%.*c', 900000, 'x') WHERE name LIKE '%17'"
            ));
            pages.circle_of_chains();
        });
    }
}

/// A store, and what is in it.
struct Hostile {
    original: Original,
    pages: Pages,
}

impl Hostile {
    fn new() -> Self {
        let original = Original::new();
        let pages = Pages(original.file.clone());
        Self { original, pages }
    }

    /// The altered file is treated as expected.
    fn becomes(&self, then: Then, what: &str, make: impl FnOnce(&mut Pages)) {
        assert_eq!(self.gives_no_wrong_row(what, make), then, "{what}");
    }

    /// Neither by reading nor by writing, nor by reading after that.
    fn gives_no_wrong_row(&self, what: &str, make: impl FnOnce(&mut Pages)) -> Then {
        let alive = watchdog();
        alive.send(what.to_owned()).unwrap();
        let mut pages = self.pages.clone();
        make(&mut pages);
        let stored = &self.original.stored;
        let (read, written) = (TestFile::with(&pages.0), TestFile::with(&pages.0));
        let seen = look(&read.path, stored, true, what);
        assert_eq!(seen.wrong, 0, "{what}: by a reader");
        let seen = look(&written.path, stored, false, what);
        assert_eq!(seen.wrong, 0, "{what}");
        if !seen.is_open {
            return Refused;
        }
        let then =
            if seen.corrupt == 0 && seen.findings.as_ref().is_some_and(Vec::is_empty) { Harmless } else { Found };
        let mut grown = stored.clone();
        let first = grown.values_mut().next().unwrap();
        first.extend(seen.created);
        // To accept a dataset is a change of it.
        first.iter_mut().zip(seen.accepted).for_each(|(dataset, accepted)| *dataset = accepted);
        assert_eq!(look(&written.path, &grown, false, what).wrong, 0, "{what}: after writing");
        memory_is_bounded(what);
        then
    }
}

/// The peak memory of this process is small, where the system reports it.
fn memory_is_bounded(what: &str) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    assert!(most.is_none_or(|kilobytes: u64| kilobytes < 400_000), "{what}: {most:?} kB");
}

impl Pages {
    /// The same, altered by plain SQL with all checks off.
    fn altered(&self, sql: &str) -> Self {
        let file = TestFile::with(&self.0);
        let plain = plain_sqlite(&file.path);
        plain.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF").unwrap();
        plain.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        plain.close().unwrap();
        Pages(fs::read(&file.path).unwrap())
    }
}
