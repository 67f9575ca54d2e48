//! Calls the store from a tokio or Tauri application, on a thread that may block.
//!
//! The store has no async runtime. A call takes microseconds to a few milliseconds, mostly waiting for the disk, and up
//! to the busy timeout if another process holds the file: too long for a thread that runs tasks. A `Store` or an
//! `Organization` is cheap to clone, and can be moved into `spawn_blocking`.
//!
//! A watch waits for a long time, so it has a blocking thread to itself, which sends the changes to the tasks through a
//! channel. A runtime waits for such threads when it shuts down: stop the watch first, or close the store, which ends
//! it too.
//!
//! ```text
//! cargo run -p async_application
//! ```

use kpi_store::{Dataset, DatasetQuery, Error, NewDataset, Organization, OrganizationId, Store};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};

/// A Tauri command could look like this: both the dataset and the error serialize.
async fn create_dataset(organization: Organization, body: String) -> Result<Dataset, Error> {
    let created = spawn_blocking(move || organization.create_dataset(NewDataset::from_json(body)?));
    created.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = spawn_blocking(Store::open_in_memory).await??;
    let organization = store.organization(OrganizationId::new());

    let watching = organization.clone();
    let watch = spawn_blocking(move || watching.watch(watching.change_cursor()?)).await??;
    let stop = watch.stop_handle();
    let (sender, mut receiver) = mpsc::channel(16);
    let following = spawn_blocking(move || {
        for changes in watch {
            match changes.map(|changes| sender.blocking_send(changes)) {
                Ok(Ok(())) => {}
                // The receiver was dropped.
                Ok(Err(_)) => break,
                Err(error) => eprintln!("the watch failed: {error}"),
            }
        }
    });

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

    let mut reported = 0;
    while reported < 20 {
        reported += receiver.recv().await.map_or(20, |changes| changes.items.len());
    }
    stop.stop();
    following.await?;
    assert!(receiver.recv().await.is_none(), "the thread has ended, and dropped the sender");
    println!("{reported} changes reported");

    spawn_blocking(move || store.close()).await??;
    Ok(())
}
