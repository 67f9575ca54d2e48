//! How a tokio or Tauri application calls the store: on a thread that may block.
//!
//! The store has no async runtime. A call takes microseconds to a few milliseconds, most of it waiting for the disk, and
//! up to the busy timeout where another process holds the file: too long for a thread that runs tasks. A `Store` or an
//! `Organization` is cheap to clone and goes to `spawn_blocking` as it is.
//!
//! ```text
//! cargo run -p async_application
//! ```

use kpi_store::{Dataset, DatasetQuery, Error, NewDataset, Organization, OrganizationId, Store};
use tokio::task::{JoinSet, spawn_blocking};

/// What a Tauri command would be: the error is something the front end can tell apart.
async fn create_dataset(organization: Organization, body: String) -> Result<Dataset, String> {
    let created = spawn_blocking(move || organization.create_dataset(NewDataset::from_json(body)?));
    let created: Result<Dataset, Error> = created.await.map_err(|panic| panic.to_string())?;
    created.map_err(|error| format!("{}: {error}", error.code()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = spawn_blocking(Store::open_in_memory).await??;
    let organization = store.organization(OrganizationId::new());

    let mut tasks = JoinSet::new();
    for number in 1..=20 {
        tasks.spawn(create_dataset(organization.clone(), format!(r#"{{"name": "Dataset {number}"}}"#)));
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    println!("{:?}", create_dataset(organization.clone(), r#"{"name": ""}"#.to_owned()).await);

    let count = spawn_blocking(move || organization.count_datasets(&DatasetQuery::new())).await??;
    println!("{count} datasets");
    spawn_blocking(move || store.close()).await??;
    Ok(())
}
