//! One JSON file that is read when it is opened and rewritten with every change. Reads are answered from memory.
//!
//! A rewrite goes to another file, which is flushed and renamed, and then the folder is flushed. `Durability::Normal`
//! is no weaker: a rename without a flush could leave an empty file after a power cut, and so lose everything.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use kpi_store_peers_harness::dataset::now;
use kpi_store_peers_harness::{Dataset, Durability, NewDataset, Peer, Summary, Violations, validate_name};
use uuid::Uuid;

pub(crate) struct JsonFile {
    folder: PathBuf,
    content: RwLock<Content>,
}

/// The content of the file.
#[derive(Default)]
struct Content {
    /// In the order of creation.
    datasets: Vec<Dataset>,
    places: HashMap<Uuid, usize>,
}

impl JsonFile {
    fn path(&self) -> PathBuf {
        self.folder.join("kpis.json")
    }

    fn add(&self, datasets: impl IntoIterator<Item = Dataset>) {
        let mut content = self.content.write().unwrap();
        content.add(datasets);
        self.rewrite(&content);
    }

    fn rewrite(&self, content: &Content) {
        let next = self.folder.join("kpis.json.next");
        let mut file = File::create(&next).unwrap();
        file.write_all(&serde_json::to_vec(&content.datasets).unwrap()).unwrap();
        file.sync_all().unwrap();
        fs::rename(&next, self.path()).unwrap();
        #[cfg(unix)]
        File::open(&self.folder).unwrap().sync_all().unwrap();
    }

    fn slice<T>(&self, after: Option<&usize>, limit: usize, map: impl Fn(&Dataset) -> T) -> (Vec<T>, Option<usize>) {
        let content = self.content.read().unwrap();
        let start = after.copied().unwrap_or(0);
        let end = start.saturating_add(limit).min(content.datasets.len());
        let items = content.datasets[start..end].iter().map(map).collect();
        (items, (end < content.datasets.len()).then_some(end))
    }
}

impl Content {
    fn add(&mut self, datasets: impl IntoIterator<Item = Dataset>) {
        for dataset in datasets {
            self.places.insert(dataset.id, self.datasets.len());
            self.datasets.push(dataset);
        }
    }
}

impl Peer for JsonFile {
    type Stored = Dataset;
    type Summary = Summary;
    /// A place in the list.
    type Cursor = usize;

    fn open(folder: &Path, _durability: Durability) -> Self {
        let opened = Self { folder: folder.to_owned(), content: RwLock::default() };
        if let Ok(json) = fs::read(opened.path()) {
            let datasets: Vec<Dataset> = serde_json::from_slice(&json).unwrap();
            opened.content.write().unwrap().add(datasets);
        }
        opened
    }

    fn close(self) {}

    fn create(&self, new: &NewDataset) -> Result<Dataset, Violations> {
        new.validate()?;
        let dataset = Dataset::new(new, now());
        self.add([dataset.clone()]);
        Ok(dataset)
    }

    fn create_all(&self, new: &[NewDataset]) -> Result<Vec<Dataset>, Violations> {
        new.iter().try_for_each(NewDataset::validate)?;
        let now = now();
        let datasets: Vec<_> = new.iter().map(|new| Dataset::new(new, now)).collect();
        self.add(datasets.iter().cloned());
        Ok(datasets)
    }

    fn load(&self, new: impl Iterator<Item = NewDataset> + Send, batch: usize) -> u64 {
        let mut new = new.peekable();
        let mut loaded = 0;
        while new.peek().is_some() {
            self.add(new.by_ref().take(batch).map(|new| {
                new.validate().unwrap();
                loaded += 1;
                Dataset::new(&new, now())
            }));
        }
        loaded
    }

    fn get(&self, id: Uuid) -> Option<Dataset> {
        let content = self.content.read().unwrap();
        content.places.get(&id).map(|place| content.datasets[*place].clone())
    }

    fn list(&self) -> Vec<Dataset> {
        self.content.read().unwrap().datasets.clone()
    }

    fn page(&self, after: Option<&usize>, limit: usize) -> (Vec<Dataset>, Option<usize>) {
        self.slice(after, limit, Dataset::clone)
    }

    fn summaries(&self, after: Option<&usize>, limit: usize) -> (Vec<Summary>, Option<usize>) {
        self.slice(after, limit, Dataset::summary)
    }

    fn count(&self) -> u64 {
        self.content.read().unwrap().datasets.len() as u64
    }

    fn rename_kpi(&self, dataset: Uuid, kpi: Uuid, name: &str) -> Result<Dataset, Violations> {
        validate_name(name)?;
        let mut content = self.content.write().unwrap();
        let place = content.places[&dataset];
        content.datasets[place].rename_kpi(kpi, name, now());
        self.rewrite(&content);
        Ok(content.datasets[place].clone())
    }

    fn plain(stored: Dataset) -> Dataset {
        stored
    }

    fn plain_summary(summary: Summary) -> Summary {
        summary
    }
}
