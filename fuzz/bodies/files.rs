//! A small store and its log, and how an input alters their bytes.

use std::fs;
use std::ops::Range;

use kpi_store::{OrganizationId, Store};
use uuid::Uuid;

use super::{Stored, counting, request};

/// The lengths of the header of a log, and of the header before each page in it.
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + 4_096;

/// A store that was closed, and a log beside it with further datasets.
pub(crate) struct Made {
    pub(crate) file: Vec<u8>,
    pub(crate) stored: Stored,
    pub(crate) log: Vec<u8>,
    /// The datasets that are stored in the file and the log.
    pub(crate) with_log: Stored,
}

impl Made {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kpis.db");
        let mut with_log = Stored::new();

        let store = counting(1_000).open(&path).unwrap();
        create(&store, 0..12, &mut with_log);
        store.close().unwrap();
        let (file, stored) = (fs::read(&path).unwrap(), with_log.clone());
        assert!(file.len() <= 1 << 16, "two bytes are a place in it");

        let store = counting(2_000).open(&path).unwrap();
        create(&store, 12..15, &mut with_log);
        let mut log = fs::read(folder.path().join("kpis.db-wal")).unwrap();
        // SQLite chooses another salt each time.
        let frames = (LOG_HEADER..log.len()).step_by(FRAME).map(|frame| frame + 8);
        for salt in frames.chain([16]) {
            log[salt..salt + 8].fill(0x5a);
        }
        make_checksums_right(&mut log);
        assert!(log.len() <= 1 << 16, "two bytes are a place in it");
        Self { file, stored, log, with_log }
    }
}

fn create(store: &Store, numbers: Range<usize>, stored: &mut Stored) {
    for number in numbers {
        let id: OrganizationId = Uuid::from_u128(1 + u128::from(number.is_multiple_of(3))).into();
        stored.entry(id).or_default().push(store.organization(id).create_dataset(request(number)).unwrap());
    }
}

/// Alters bytes: each edit is an offset, in two bytes, and the new byte there.
pub(crate) fn edit(bytes: &mut [u8], edits: &[u8]) {
    for edit in edits.chunks_exact(3).take(64) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[place] = edit[2];
    }
}

/// Sets the checksum that SQLite expects in the header of a log and for every complete page in it.
pub(crate) fn make_checksums_right(log: &mut [u8]) {
    if log.len() < LOG_HEADER {
        return;
    }
    let mut sum = checksum([0, 0], &log[..24]);
    log[24..32].copy_from_slice(&[sum[0].to_be_bytes(), sum[1].to_be_bytes()].concat());
    for frame in log[LOG_HEADER..].chunks_exact_mut(FRAME) {
        sum = checksum(checksum(sum, &frame[..8]), &frame[24..]);
        frame[16..24].copy_from_slice(&[sum[0].to_be_bytes(), sum[1].to_be_bytes()].concat());
    }
}

/// The words have the byte order of the machine that wrote the log, which is this one.
fn checksum(mut sum: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    for pair in bytes.chunks_exact(8) {
        let [first, second] = [&pair[..4], &pair[4..]].map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        sum[0] = sum[0].wrapping_add(first).wrapping_add(sum[1]);
        sum[1] = sum[1].wrapping_add(second).wrapping_add(sum[0]);
    }
    sum
}
