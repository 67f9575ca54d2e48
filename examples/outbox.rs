//! A local-first application that sends its changes to a server: it works offline, collects what was changed, sends it
//! when the server can be reached, and keeps what it knows of the server in the same file.
//!
//! The server is a fake one that fails on purpose. `docs/synchronizing.md` describes the parts.
//!
//! ```text
//! cargo run --example outbox
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use kpi_store::chrono::{DateTime, Utc};
use kpi_store::{
    ChangeCursor, Dataset, DatasetDiff, DatasetId, DatasetPatch, Error, NewDataset, NewKpi, Organization,
    OrganizationId, Store,
};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (path, backup) = (folder.path().join("kpis.db"), folder.path().join("backup.db"));
    let id = OrganizationId::new();
    let mut server = Server::default();
    let outbox = |store: &Store| Outbox { store: store.clone(), organization: store.organization(id) };

    // Offline: everything is stored at once, and nothing is sent.
    let store = Store::open(&path)?;
    let ours = store.organization(id);
    let [water, waste, energy] = ours
        .create_datasets(["Water", "Waste!", "Energy"].map(|name| NewDataset::new(name).kpi(NewKpi::new("Total"))))?
        .try_into()
        .map_err(|_| "three datasets")?;
    server.is_reachable = false;
    outbox(&store).synchronize(&mut server)?;
    assert_eq!((server.datasets.len(), outbox(&store).pending()?.len()), (0, 3));
    drop((store, ours));

    // After a restart, online: the server accepts two, and loses its answer to the first; it refuses the third.
    let store = Store::open(&path)?;
    let ours = store.organization(id);
    (server.is_reachable, server.answers_to_lose) = (true, 1);
    outbox(&store).synchronize(&mut server)?;
    assert_eq!(server.names(), ["Water"]);
    outbox(&store).synchronize(&mut server)?;
    assert_eq!(server.names(), ["Energy", "Water"], "the refused one does not hold the others up");
    assert!(ours.property(&refused(waste.id))?.is_some());

    // The user corrects what was refused, and deletes another for good.
    ours.update_dataset(waste.id, DatasetPatch::new().name("Waste"))?;
    ours.delete_dataset(energy.id)?;
    ours.purge_dataset(energy.id)?;
    outbox(&store).synchronize(&mut server)?;
    assert_eq!(server.names(), ["Waste", "Water"]);

    // A change that the server made is stored here, collected like any other, and not sent back.
    let received = ours.update_dataset(water.id, DatasetPatch::new().name("Water 2024"))?;
    outbox(&store).received(&mut server, &received)?;
    let before = server.requests;
    outbox(&store).synchronize(&mut server)?;
    assert_eq!(server.requests, before, "a change that came from the server");

    // The file is lost and restored from a backup: the cursor in it belongs to the lost file.
    store.backup_to(&backup)?;
    ours.create_dataset(NewDataset::new("Lost"))?;
    outbox(&store).synchronize(&mut server)?;
    assert_eq!(server.names(), ["Lost", "Waste", "Water 2024"]);
    store.close()?;
    fs::copy(&backup, &path)?;
    let store = Store::open(&path)?;
    let ours = store.organization(id);
    ours.delete_dataset(waste.id)?;
    outbox(&store).synchronize(&mut server)?;
    // The application could download what only the server has.
    assert_eq!(server.names(), ["Lost", "Water 2024"]);
    assert!(outbox(&store).pending()?.is_empty());
    Ok(())
}

/// The datasets to send, and the state of the server. Both are properties of the organization, in the same file as the
/// datasets. One thread of one process runs it at a time: otherwise one would remove the mark of a dataset that another
/// has just collected again.
struct Outbox {
    store: Store,
    organization: Organization,
}

/// The cursor up to which changes were collected.
const CURSOR: &str = "outbox/cursor";

/// A dataset that is to be sent. The content is its state: `present`, `deleted` or `purged`, or [`MISSING`].
fn pending(id: DatasetId) -> String {
    format!("outbox/pending/{id}")
}

/// The state of a dataset that the server has, and the file has not: after starting over.
const MISSING: &str = "missing";

/// The id of a dataset on the server, and the version that the server has.
fn sent(id: DatasetId) -> String {
    format!("outbox/sent/{id}")
}

/// Why the server refused a dataset, for its form.
fn refused(id: DatasetId) -> String {
    format!("outbox/refused/{id}")
}

impl Outbox {
    fn synchronize(&self, server: &mut Server) -> Result<()> {
        self.collect()?;
        self.send(server)
    }

    /// Adds what was changed to what is to be sent. Both the cursor and the datasets are stored in one transaction, so
    /// that no change is forgotten, whenever the application ends.
    fn collect(&self) -> Result<()> {
        let kept = self.organization.property(CURSOR)?;
        let mut cursor = match kept {
            Some(text) => String::from_utf8(text)?.parse()?,
            None => ChangeCursor::start(),
        };
        loop {
            let changes = match self.organization.changes_since(&cursor) {
                Err(Error::InvalidCursor) => {
                    self.start_over()?;
                    cursor = ChangeCursor::start();
                    continue;
                }
                changes => changes?,
            };
            // A damaged dataset is neither sent nor deleted on the server. A real application informs its user.
            changes.damaged.iter().for_each(|damage| println!("damaged: {}", damage.detail));
            let to_send = changes.items.iter().map(|change| (pending(change.dataset), change.state.as_str()));
            let next = changes.next.to_string();
            self.set(to_send.chain([(CURSOR.to_owned(), next.as_str())]))?;
            cursor = changes.next;
            if !changes.has_more {
                return Ok(());
            }
        }
    }

    /// The cursor belongs to another file, so it is not known which version of each dataset the server has: every sent
    /// dataset is to be sent again. One that is not collected then does not exist here any more, and is to be deleted on
    /// the server; so damage, which could hide a dataset, is ruled out before.
    fn start_over(&self) -> Result<()> {
        println!("starting over");
        if !self.store.verify()?.is_whole() {
            return Err("the file is damaged: restore a backup".into());
        }
        for id in self.ids("outbox/sent/")? {
            let Some(known) = self.known(id)? else { continue };
            let known = Known { version: None, ..known }.to_string();
            self.set([(sent(id), known.as_str()), (pending(id), MISSING)])?;
        }
        Ok(())
    }

    /// Sends the pending datasets. If the server cannot be reached, the others stay pending for the next call.
    fn send(&self, server: &mut Server) -> Result<()> {
        for id in self.pending()? {
            let dataset = match self.organization.dataset(id) {
                // It stays pending until it is repaired or deleted, and does not hold the others up.
                Err(Error::Corrupt { .. }) => continue,
                dataset => dataset?,
            };
            let is_present = self.organization.property(&pending(id))?.is_some_and(|state| state == b"present");
            if is_present != dataset.is_some() {
                // It was changed after it was collected, and the next round collects it again.
                continue;
            }
            let known = self.known(id)?;
            let answer = match (&dataset, &known) {
                (Some(dataset), Some(known)) if self.is_same_on_server(dataset, known)? => Ok(known.server_id),
                (Some(dataset), Some(known)) => server.replace(known.server_id, dataset),
                (Some(dataset), None) => server.create(dataset),
                (None, Some(known)) => server.delete(known.server_id),
                (None, None) => Ok(0),
            };
            match answer {
                Ok(server_id) => {
                    let known =
                        dataset.map(|dataset| Known { server_id, version: Some(dataset.updated_at) }.to_string());
                    let known = known.as_deref().map(str::as_bytes);
                    self.organization.set_properties([(sent(id), known), (refused(id), None)])?;
                }
                // It is sent again when the user has changed it, which is another change.
                Err(Failure::Refused(why)) => self.set([(refused(id), why.as_str())])?,
                Err(Failure::Unreachable) => {
                    println!("the server cannot be reached");
                    return Ok(());
                }
            }
            self.organization.set_properties([(pending(id), None)])?;
        }
        Ok(())
    }

    /// Records that the server has this version, which was received from it.
    fn received(&self, server: &mut Server, dataset: &Dataset) -> Result<()> {
        let Some(known) = self.known(dataset.id)? else { return Ok(()) };
        server.datasets.insert(known.server_id, dataset.name.clone());
        let known = Known { version: Some(dataset.updated_at), ..known };
        self.set([(sent(dataset.id), known.to_string().as_str())])
    }

    /// Whether nothing differs from the version that the server has.
    fn is_same_on_server(&self, dataset: &Dataset, known: &Known) -> Result<bool> {
        let Some(updated_at) = known.version else { return Ok(false) };
        let sent = self.organization.version_at(dataset.id, updated_at)?;
        // A version that was pruned cannot be compared: the dataset is sent.
        Ok(sent.is_some_and(|sent| DatasetDiff::between(&sent.dataset, dataset).is_empty()))
    }

    fn set<'a>(&self, properties: impl IntoIterator<Item = (String, &'a str)>) -> Result<()> {
        let properties = properties.into_iter().map(|(key, content)| (key, Some(content.as_bytes())));
        Ok(self.organization.set_properties(properties)?)
    }

    fn pending(&self) -> Result<BTreeSet<DatasetId>> {
        self.ids("outbox/pending/")
    }

    fn ids(&self, prefix: &str) -> Result<BTreeSet<DatasetId>> {
        let keys = self.organization.property_keys()?;
        Ok(keys.iter().filter_map(|key| key.strip_prefix(prefix)).map(str::parse).collect::<Result<_, _>>()?)
    }

    fn known(&self, id: DatasetId) -> Result<Option<Known>> {
        let Some(text) = self.organization.property(&sent(id))? else { return Ok(None) };
        Ok(Some(String::from_utf8(text)?.parse()?))
    }
}

/// The application's knowledge of a dataset on the server.
struct Known {
    server_id: u32,
    /// The `updated_at` of the version that the server has; `None` if that is not known.
    #[expect(clippy::option_option, reason = "`Some(None)` is the version that was created")]
    version: Option<Option<DateTime<Utc>>>,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version {
            None => write!(f, "{}", self.server_id),
            Some(None) => write!(f, "{} created", self.server_id),
            Some(Some(updated_at)) => write!(f, "{} {}", self.server_id, updated_at.timestamp_micros()),
        }
    }
}

impl std::str::FromStr for Known {
    type Err = Box<dyn std::error::Error>;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(' ');
        let server_id = parts.next().unwrap_or_default().parse()?;
        let version = match parts.next() {
            None => None,
            Some("created") => Some(None),
            Some(micros) => Some(DateTime::from_timestamp_micros(micros.parse()?)),
        };
        Ok(Known { server_id, version })
    }
}

/// A fake server, which refuses names with an exclamation mark.
#[derive(Default)]
struct Server {
    is_reachable: bool,
    /// The number of next requests that it fulfills, but whose answers are lost.
    answers_to_lose: u32,
    requests: u32,
    datasets: BTreeMap<u32, String>,
    /// The idempotency keys of the creations: one that is repeated, since its answer was lost, creates nothing twice.
    created: BTreeMap<DatasetId, u32>,
}

enum Failure {
    Unreachable,
    Refused(String),
}

impl Server {
    fn create(&mut self, dataset: &Dataset) -> Result<u32, Failure> {
        let next = u32::try_from(self.created.len()).unwrap_or(u32::MAX).saturating_add(1);
        let server_id = self.created.get(&dataset.id).copied().unwrap_or(next);
        self.request("create", dataset, server_id)?;
        self.created.insert(dataset.id, server_id);
        self.answer(server_id)
    }

    fn replace(&mut self, server_id: u32, dataset: &Dataset) -> Result<u32, Failure> {
        self.request("replace", dataset, server_id)?;
        self.answer(server_id)
    }

    fn delete(&mut self, server_id: u32) -> Result<u32, Failure> {
        self.reach()?;
        println!("delete {server_id}");
        self.datasets.remove(&server_id);
        self.answer(server_id)
    }

    fn request(&mut self, what: &str, dataset: &Dataset, server_id: u32) -> Result<(), Failure> {
        self.reach()?;
        println!("{what} {server_id}: {}", dataset.name);
        if dataset.name.contains('!') {
            return Err(Failure::Refused("Names have no exclamation marks.".to_owned()));
        }
        self.datasets.insert(server_id, dataset.name.clone());
        Ok(())
    }

    fn reach(&mut self) -> Result<(), Failure> {
        self.requests += 1;
        if self.is_reachable { Ok(()) } else { Err(Failure::Unreachable) }
    }

    fn answer(&mut self, server_id: u32) -> Result<u32, Failure> {
        if self.answers_to_lose > 0 {
            self.answers_to_lose -= 1;
            return Err(Failure::Unreachable);
        }
        Ok(server_id)
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.datasets.values().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
