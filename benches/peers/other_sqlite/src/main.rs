//! The peers diesel and sqlx, which need an older SQLite than those of the main program.
//!
//! The driver in the folder above builds and starts this program. Both libraries use libsqlite3-sys 0.37, which
//! compiles SQLite 3.51.3 with `SQLITE_ENABLE_MEMORY_MANAGEMENT`: one page cache for all connections.
//! `.cargo/config.toml` takes this option out, so that the options are those of the other peers.

mod with_diesel;
mod with_sqlx;

use chrono::{DateTime, Utc};
use kpi_store_peers_harness::NewDataset;
use kpi_store_peers_harness::child::Task;

use self::with_diesel::Diesel;
use self::with_sqlx::Sqlx;

fn main() {
    let task = Task::from_arguments().expect("this program is started by the driver");
    with_diesel::assert_page_caches_are_separate();
    match task.peer.as_str() {
        "diesel" => task.run::<Diesel>(),
        "sqlx" => task.run::<Sqlx>(),
        unknown => panic!("no peer is named {unknown}"),
    }
}

/// The tables of both.
const SCHEMA: &str = include_str!("schema.sql");

/// The rows of an INSERT. Both libraries take all rows of a slice at once, up to the 32,766 parameters that SQLite
/// allows; 100 and 500 were not faster.
const ROWS: usize = 32;

/// The datasets that a load has in memory at a time.
const CHUNK: usize = 64;

/// Gives the datasets to `store` in batches, each of which it stores in a transaction. Returns the sum of what it
/// returns.
fn in_batches(
    new: impl Iterator<Item = NewDataset>,
    batch: usize,
    mut store: impl FnMut(&mut dyn Iterator<Item = NewDataset>) -> u64,
) -> u64 {
    let mut new = new.peekable();
    let mut stored = 0;
    while new.peek().is_some() {
        stored += store(&mut new.by_ref().take(batch));
    }
    stored
}

/// The next validated datasets of a batch; `None` at its end.
fn chunk(batch: &mut dyn Iterator<Item = NewDataset>) -> Option<Vec<NewDataset>> {
    let chunk: Vec<_> = batch.take(CHUNK).inspect(|new| new.validate().expect("a valid request")).collect();
    (!chunk.is_empty()).then_some(chunk)
}

/// A time that was stored as microseconds.
fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a time of this program")
}
