//! Shows what another process changes: lists the names of the datasets once, and keeps the list up to date by following
//! the changes from there.
//!
//! The program starts itself a second time as the other process.
//!
//! ```text
//! cargo run --example watch
//! ```

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use kpi_store::{
    ChangeState, Changes, DatasetId, DatasetQuery, Error, NewDataset, Organization, OrganizationId, Store,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [path, organization] = &arguments[..] {
        return Ok(edit(&Store::open(path)?.organization(organization.parse()?))?);
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("kpis.db");
    let organization = Store::open(&path)?.organization(OrganizationId::new());
    organization.create_dataset(NewDataset::new("Water"))?;

    // The cursor precedes the listing: a change between the two is reported again, and not missed.
    let cursor = organization.change_cursor()?;
    let mut screen = Screen::list(&organization)?;
    let mut watch = organization.watch(cursor)?;
    println!("listed: {:?}", screen.names());

    let mut other = Command::new(std::env::current_exe()?).arg(&path).arg(organization.id().to_string()).spawn()?;
    loop {
        let has_ended = other.try_wait()?.is_some();
        // A real screen waits without a timeout, in a thread of its own: `for changes in watch`.
        let changes = watch.wait(if has_ended { Duration::ZERO } else { Duration::from_millis(200) })?;
        screen.apply(&organization, &changes)?;
        if has_ended && !changes.has_more {
            break;
        }
    }
    assert!(other.wait()?.success());
    assert_eq!(screen.names(), ["Energy", "Water and wastewater"]);
    assert_eq!(screen.names(), Screen::list(&organization)?.names(), "a listing shows the same");
    println!("at the end: {:?}", screen.names());
    Ok(())
}

/// The edits of the other process.
fn edit(organization: &Organization) -> Result<(), Error> {
    for dataset in organization.iter_datasets(&DatasetQuery::new()) {
        let mut draft = dataset?.edit();
        draft.name = "Water and wastewater".into();
        organization.save_dataset(&draft)?;
    }
    let created = organization.create_datasets(["Energy", "Waste"].map(NewDataset::new))?;
    let waste = created.iter().find(|dataset| dataset.name == "Waste");
    waste.map_or(Ok(()), |waste| organization.delete_dataset(waste.id))
}

/// The names of the datasets.
struct Screen(BTreeMap<DatasetId, String>);

impl Screen {
    fn list(organization: &Organization) -> Result<Self, Error> {
        let named = |dataset: kpi_store::DatasetSummary| (dataset.id, dataset.name);
        organization
            .iter_summaries(&DatasetQuery::new())
            .map(|dataset| dataset.map(named))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn apply(&mut self, organization: &Organization, changes: &Changes) -> Result<(), Error> {
        for change in &changes.items {
            // The dataset may have been deleted since, which is reported next.
            let present = match change.state {
                ChangeState::Present => organization.dataset(change.dataset)?,
                _ => None,
            };
            match present {
                Some(dataset) => {
                    println!("created or changed: {}", dataset.name);
                    self.0.insert(dataset.id, dataset.name);
                }
                None => {
                    if let Some(name) = self.0.remove(&change.dataset) {
                        println!("gone: {name}");
                    }
                }
            }
        }
        Ok(())
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.values().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
