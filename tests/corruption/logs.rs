//! Malicious logs and journals beside a sound file: nothing outside the file is touched, the file does not grow without
//! bound, and no row is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use kpi_store::Store;

use crate::Original;
use crate::look::{contents, look};
use crate::pages::{PAGE, number};
use crate::support::{TestFile, plain_sqlite, with_suffix};

/// The pages of a log: the number of each, and the length of the file in pages after it; 0 within a transaction.
type Frames = &'static [(u32, u32)];

const LOGS: &[(&str, Frames)] = &[
    ("a page eight terabytes on", &[(0x7fff_ffff, 0x7fff_ffff)]),
    ("a page far on that the file does not have", &[(0x7fff_ffff, 40)]),
    ("the first page, of four thousand million", &[(1, 0xffff_ffff)]),
    ("the first page, of one", &[(1, 1)]),
    ("the first page, of none", &[(1, 0)]),
    ("a page without a number", &[(0, 40)]),
    ("the page of locks", &[(262_145, 262_145)]),
];

#[test]
fn false_logs_give_no_wrong_row_and_do_not_inflate_the_file() {
    let original = Original::new();
    for (what, frames) in LOGS {
        for read_only in [false, true] {
            let file = TestFile::with(&original.file);
            fs::write(file.with_suffix("-wal"), log(&original.file, frames)).unwrap();
            let seen = look(&file.path, &original.stored, read_only, what);
            assert_eq!(seen.wrong, 0, "{what}");
            let length = fs::metadata(&file.path).unwrap().len();
            assert!(length < 2 * original.file.len() as u64, "{what}: {length} bytes");
        }
    }
}

#[test]
fn a_log_of_another_version_is_refused_and_stays() {
    let original = Original::new();
    for read_only in [false, true] {
        let file = TestFile::with(&original.file);
        let mut log = log(&original.file, &[(1, 40)]);
        log[7] += 1;
        fs::write(file.with_suffix("-wal"), log).unwrap();
        let before = contents(file.folder.path());
        let opened = Store::options().read_only(read_only).open(&file.path);
        assert_eq!(opened.map(drop).map_err(|error| error.code()), Err("corrupt"));
        assert_eq!(contents(file.folder.path()), before);
    }
}

/// The control: SQLite accepts a log that is made like these.
#[test]
fn a_valid_log_is_read() {
    let original = Original::new();
    let file = TestFile::with(&original.file);
    let pages = u32::try_from(original.file.len() / PAGE).unwrap();
    let mut changed = original.file.clone();
    changed[60..64].copy_from_slice(&77_u32.to_be_bytes());
    fs::write(file.with_suffix("-wal"), log(&changed, &[(1, pages)])).unwrap();
    assert_eq!(Store::open(&file.path).unwrap_err().code(), "too_new", "the version in the log");
}

#[test]
fn a_journal_that_names_another_file_is_refused_and_deletes_nothing() {
    let original = Original::new();
    for read_only in [false, true] {
        let (folder, file, victim) = beside_a_journal(&original);
        let before = contents(folder.path());
        let opened = Store::options().read_only(read_only).open(&file);
        assert_eq!(opened.map(drop).map_err(|error| error.code()), Err("corrupt"));
        assert_eq!(contents(folder.path()), before);

        fs::remove_file(with_suffix(&file, "-journal")).unwrap();
        Store::options().read_only(read_only).open(&file).unwrap();
        assert!(victim.exists());
    }
}

/// The control: SQLite accepts the journal, rolls it back, and deletes the file that it names.
#[test]
fn plain_sqlite_deletes_the_file_that_a_journal_names() {
    let (_folder, file, victim) = beside_a_journal(&Original::new());
    let plain = plain_sqlite(&file);
    plain.query_row("SELECT count(*) FROM dataset", [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(!victim.exists());
}

fn beside_a_journal(original: &Original) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let real = fs::canonicalize(folder.path()).unwrap();
    // Before 3.54 SQLite deletes a file of any name, since then one that is named like this and contains the journal's
    // name.
    let (file, victim) = (real.join("kpis.db"), real.join("thesis-mj0000009ab"));
    let journal_file = with_suffix(&file, "-journal");
    fs::write(&file, &original.file).unwrap();
    fs::write(&victim, [journal_file.as_os_str().as_encoded_bytes(), b"\0"].concat()).unwrap();
    fs::write(journal_file, journal(&original.file, &victim)).unwrap();
    (folder, file, victim)
}

/// A write-ahead log of one transaction with valid checksums. Pages beyond the file repeat the first one.
fn log(file: &[u8], frames: &[(u32, u32)]) -> Vec<u8> {
    let salts = [0x1234_5678_u32, 0x9abc_def0];
    let mut log = Vec::new();
    for word in [0x377f_0683, 3_007_000, PAGE.try_into().unwrap(), 0, salts[0], salts[1]] {
        log.extend(u32::to_be_bytes(word));
    }
    let mut sum = checksum([0, 0], &log);
    log.extend(sum.into_iter().flat_map(u32::to_be_bytes));
    for (page, size) in frames {
        let head: Vec<u8> = [*page, *size].into_iter().flat_map(u32::to_be_bytes).collect();
        let place = (*page as usize).saturating_sub(1) * PAGE;
        let content = file.get(place..place + PAGE).unwrap_or(&file[..PAGE]);
        sum = checksum(checksum(sum, &head), content);
        log.extend(head);
        log.extend(salts.into_iter().chain(sum).flat_map(u32::to_be_bytes));
        log.extend(content);
    }
    log
}

fn checksum(mut sum: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    for pair in bytes.chunks_exact(8) {
        let [first, second] = [&pair[..4], &pair[4..]].map(|word| u32::from_be_bytes(word.try_into().unwrap()));
        sum[0] = sum[0].wrapping_add(first).wrapping_add(sum[1]);
        sum[1] = sum[1].wrapping_add(second).wrapping_add(sum[0]);
    }
    sum
}

/// A hot rollback journal that changes nothing and says that its transaction also concerned the file `other`.
fn journal(file: &[u8], other: &Path) -> Vec<u8> {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let other = other.as_os_str().as_encoded_bytes();
    let mut journal = MAGIC.to_vec();
    // No page, no nonce, as many pages as there are, sectors of 512 bytes.
    for field in [0, 0, file.len() / PAGE, 512, PAGE] {
        journal.extend(number(field));
    }
    journal.resize(512, 0);
    // The number of the page that SQLite uses for locks marks the name.
    journal.extend(number(0x4000_0000 / PAGE + 1));
    journal.extend(other);
    journal.extend(number(other.len()));
    journal.extend(number(other.iter().map(|byte| usize::from(*byte)).sum()));
    journal.extend(MAGIC);
    journal
}
