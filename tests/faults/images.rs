//! The files as a power cut can leave them.
//!
//! Synced writes are durable. Of the others any part may have reached the disk, in any order: each write is kept,
//! dropped, or torn between sectors of 512 bytes. Of the files created, renamed or removed since the folder was last
//! synced, some of these changes are durable, in their order. Shared memory (`-shm`) is lost.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use kpi_store_fault_vfs::Operation;
use kpi_store_test_support::Random;

const SECTOR: usize = 512;

/// The files of a folder, by name.
pub(super) type Image = BTreeMap<String, Vec<u8>>;

pub(super) fn write(image: &Image, folder: &Path) {
    let mut linked = HashSet::new();
    for (name, bytes) in image {
        // A backup has the contents of its draft only while both are names of one file. Another backup may have the same.
        let draft = image.iter().find(|(draft, content)| is_draft(Path::new(draft)) && *content == bytes);
        match draft.map(|(draft, _)| folder.join(draft)) {
            Some(draft) if draft.exists() && linked.insert(draft.clone()) => {
                fs::hard_link(draft, folder.join(name)).unwrap();
            }
            _ => fs::write(folder.join(name), bytes).unwrap(),
        }
    }
}

fn is_draft(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "draft")
}

/// Does what the refusal of a file with two names advises.
pub(super) fn remove_drafts(folder: &Path) {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for draft in paths.filter(|path| is_draft(path)) {
        fs::remove_file(draft).unwrap();
    }
}

pub(super) fn read(folder: &Path) -> Image {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named.filter(|(name, _)| !name.ends_with("-shm")).map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Which of the changes that were not synced reached the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kept {
    Nothing,
    Everything,
    OnlyTheLast,
    AllButTheFirst,
    AllButTheLast,
    /// Of writes to the same offset, old ones and the newest.
    SomeOfTheFirstAndTheLast,
    /// The same, with this number of old ones.
    TheFirstAndTheLast(usize),
    AllButASector,
    AnyOfThem,
}

impl Kept {
    /// This number of those that depend on chance, in turn.
    pub(super) fn by_chance(count: usize) -> impl Iterator<Item = Kept> {
        [Kept::AnyOfThem, Kept::SomeOfTheFirstAndTheLast, Kept::AllButASector].into_iter().cycle().take(count)
    }

    pub(super) const EXTREMES: [Kept; 5] =
        [Kept::Nothing, Kept::Everything, Kept::OnlyTheLast, Kept::AllButTheFirst, Kept::AllButTheLast];
}

/// A folder: its durable state, and the changes that are not synced yet.
#[derive(Clone, Default)]
pub(super) struct SimulatedDisk<'a> {
    /// Every file that ever existed.
    files: Vec<File<'a>>,
    /// The names as programs see them.
    names: BTreeMap<&'a str, usize>,
    /// The durable names.
    durable_names: BTreeMap<&'a str, usize>,
    changes_of_names: Vec<Naming<'a>>,
}

#[derive(Clone, Default)]
struct File<'a> {
    durable: Vec<u8>,
    changes: Vec<Change<'a>>,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Write(usize, &'a [u8]),
    Cut(usize),
}

#[derive(Clone, Copy)]
enum Naming<'a> {
    Create(&'a str, usize),
    Delete(&'a str),
    Link(&'a str, &'a str),
    Rename(&'a str, &'a str),
}

impl<'a> SimulatedDisk<'a> {
    /// A disk that holds these files.
    pub(super) fn new(image: &'a Image) -> Self {
        let files = image.values().map(|bytes| File { durable: bytes.clone(), changes: Vec::new() }).collect();
        let names: BTreeMap<_, _> = image.keys().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
        Self { files, durable_names: names.clone(), names, changes_of_names: Vec::new() }
    }

    /// Applies a recorded operation. Which of the writes survive a failed sync is decided here, for good.
    pub(super) fn apply(&mut self, operation: &'a Operation, random: &mut Random) {
        match operation {
            Operation::Create { file } => {
                self.files.push(File::default());
                self.rename(Naming::Create(file, self.files.len() - 1));
            }
            Operation::Delete { file } => self.rename(Naming::Delete(file)),
            Operation::Link { from, to } => self.rename(Naming::Link(from, to)),
            Operation::Rename { from, to } => self.rename(Naming::Rename(from, to)),
            Operation::SyncFolder => {
                self.durable_names.clone_from(&self.names);
                self.changes_of_names.clear();
            }
            Operation::Write { file, offset, data } => {
                self.file(file).changes.push(Change::Write(usize::try_from(*offset).unwrap(), data));
            }
            Operation::Truncate { file, length } => {
                self.file(file).changes.push(Change::Cut(usize::try_from(*length).unwrap()));
            }
            Operation::Sync { file } => self.file(file).settle(Kept::Everything, random),
            Operation::SyncFailed { file } => self.file(file).settle(Kept::AnyOfThem, random),
        }
    }

    /// The files as a power cut now leaves them.
    pub(super) fn image(&self, kept: Kept, random: &mut Random) -> Image {
        let mut names = self.durable_names.clone();
        let count = self.changes_of_names.len();
        let persisting = match kept {
            Kept::Nothing => 0,
            Kept::Everything => count,
            _ => random.below(count + 1),
        };
        for change in &self.changes_of_names[..persisting] {
            change.apply(&mut names);
        }
        let left = |number: usize| {
            let mut file = self.files[number].clone();
            file.settle(kept, random);
            file.durable
        };
        let (names, numbers): (Vec<_>, Vec<_>) = names.into_iter().unzip();
        names.into_iter().map(str::to_owned).zip(numbers.into_iter().map(left)).collect()
    }

    /// The largest number of changes that are not synced in a file.
    pub(super) fn unsynced(&self) -> usize {
        self.files.iter().map(|file| file.changes.len()).max().unwrap_or(0)
    }

    fn file(&mut self, name: &str) -> &mut File<'a> {
        &mut self.files[self.names[name]]
    }

    fn rename(&mut self, change: Naming<'a>) {
        change.apply(&mut self.names);
        self.changes_of_names.push(change);
    }
}

impl<'a> Naming<'a> {
    fn apply(self, names: &mut BTreeMap<&'a str, usize>) {
        match self {
            Naming::Create(name, number) => drop(names.insert(name, number)),
            Naming::Delete(name) => drop(names.remove(name)),
            Naming::Link(from, to) => drop(names.insert(to, names[from])),
            Naming::Rename(from, to) => {
                let number = names.remove(from).unwrap();
                names.insert(to, number);
            }
        }
    }
}

impl File<'_> {
    /// Decides which of the unsynced changes become durable.
    fn settle(&mut self, kept: Kept, random: &mut Random) {
        let changes = std::mem::take(&mut self.changes);
        let (often, some) = ([10, 50, 90][random.below(3)], random.below(changes.len() + 1));
        for (index, change) in changes.iter().enumerate() {
            let (is_first, is_last) = (index == 0, index + 1 == changes.len());
            let is_kept = match kept {
                Kept::Nothing => false,
                Kept::Everything => true,
                Kept::OnlyTheLast => is_last,
                Kept::AllButTheFirst => !is_first,
                Kept::AllButTheLast => !is_last,
                Kept::SomeOfTheFirstAndTheLast => index < some || is_last,
                Kept::TheFirstAndTheLast(first) => index < first || is_last,
                Kept::AllButASector => index != some,
                Kept::AnyOfThem => random.percent(often),
            };
            match change {
                Change::Write(offset, data) if kept == Kept::AllButASector && index == some => {
                    let missing = (offset + random.below(data.len())) / SECTOR;
                    self.write_sectors(*offset, data, |start| start / SECTOR != missing);
                }
                Change::Write(offset, data) if kept == Kept::AnyOfThem && random.percent(30) => {
                    let (how, edge) = (random.below(3), offset + random.below(data.len() + 1));
                    self.write_sectors(*offset, data, |start| match how {
                        0 => start < edge,
                        1 => start >= edge,
                        _ => random.percent(50),
                    });
                }
                _ if !is_kept => {}
                Change::Write(offset, data) => self.write(*offset, data),
                Change::Cut(length) => self.durable.resize(*length, 0),
            }
        }
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[offset..end].copy_from_slice(data);
    }

    /// Writes the parts of the data that are in the kept sectors. `is_kept` is given the offset at which each part
    /// begins.
    fn write_sectors(&mut self, mut offset: usize, mut data: &[u8], mut is_kept: impl FnMut(usize) -> bool) {
        while !data.is_empty() {
            let (sector, rest) = data.split_at(data.len().min(SECTOR - offset % SECTOR));
            if is_kept(offset) {
                self.write(offset, sector);
            }
            offset += sector.len();
            data = rest;
        }
    }
}
