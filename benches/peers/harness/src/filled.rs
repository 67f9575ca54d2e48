//! The store of a job: a folder of its own, and a peer that was filled, reopened and checked.

use std::fs;
use std::path::{Path, PathBuf};

use kpi_store::{Durability, NewDataset};
use tempfile::TempDir;
use uuid::Uuid;

use crate::check::Expected;
use crate::input::{self, Numbers};
use crate::{Amount, Job, Peer};

/// A peer with datasets in it.
pub(crate) struct Filled<P: Peer> {
    pub(crate) peer: P,
    pub(crate) expected: Expected,
    pub(crate) folder: TempDir,
    durability: Durability,
}

/// The requests of a job.
pub(crate) fn requests(job: Job, amount: Amount) -> Vec<NewDataset> {
    input::datasets(job.texts()).take(amount.of(job.datasets())).collect()
}

/// A folder for a peer, within this one.
pub(crate) fn fresh_folder(within: &Path) -> TempDir {
    tempfile::tempdir_in(within).expect("a folder for the peer's data")
}

impl<P: Peer> Filled<P> {
    /// Stores the datasets of the job, closes, opens again and checks what is there.
    pub(crate) fn new(job: Job, amount: Amount, durability: Durability, within: &Path) -> Self {
        let folder = fresh_folder(within);
        let peer = P::open(folder.path(), durability);
        let mut expected = Expected::default();
        let requests = requests(job, amount);
        let created = peer.create_all(&requests).expect("the requests are valid");
        assert_eq!(created.len(), requests.len(), "bulk has returned another number of datasets");
        for (stored, new) in created.into_iter().zip(&requests) {
            expected.created(&P::plain(stored), new);
        }
        let filled = Self { peer, expected, folder, durability }.reopened();
        filled.expected.assert_refuses(&filled.peer);
        filled
    }

    /// Closes, opens again and checks that everything is still there.
    pub(crate) fn reopened(self) -> Self {
        let Self { peer, expected, folder, durability } = self;
        peer.close();
        let peer = P::open(folder.path(), durability);
        expected.assert_stored(&peer);
        Self { peer, expected, folder, durability }
    }

    /// The ids in a random order, over and over.
    pub(crate) fn random_ids(&self) -> impl Iterator<Item = Uuid> + use<P> {
        let mut numbers = Numbers::new(19);
        let ids: Vec<Uuid> = self.expected.datasets.iter().map(|(id, _)| *id).collect();
        std::iter::repeat_with(move || ids[numbers.below(ids.len())])
    }
}

/// The space that the files of this folder take on the disk, and at most their length.
///
/// # Panics
///
/// If the folder cannot be read.
#[must_use]
pub fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the peer's folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { bytes_of(&path) } else { bytes_of_file(&path) }).sum()
}

fn bytes_of_file(path: &PathBuf) -> u64 {
    let metadata = fs::metadata(path).expect("a file of the peer");
    #[cfg(unix)]
    let taken = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    #[cfg(not(unix))]
    let taken = u64::MAX;
    metadata.len().min(taken)
}
