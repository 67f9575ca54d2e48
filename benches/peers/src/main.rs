//! kpi-store beside what one would use instead.

#[allow(dead_code, reason = "the floor of another bench, which does more")]
#[path = "../../against_sql/floor/mod.rs"]
mod floor;
mod peers;

use kpi_store_peers_harness::child::Task;
use peers::fjall::Fjall;
use peers::floor::Floor;
use peers::json_column::JsonColumn;
use peers::json_file::JsonFile;
use peers::kpi_store::KpiStore;
use peers::plain_rusqlite::PlainRusqlite;
use peers::redb::Redb;

fn main() {
    if let Some(task) = Task::from_arguments() {
        run(task);
    }
}

/// Does the task of a child process.
fn run(task: Task) {
    match task.peer.as_str() {
        "kpi-store" => task.run::<KpiStore>(),
        "floor" => task.run::<Floor>(),
        "rusqlite" => task.run::<PlainRusqlite>(),
        "redb" => task.run::<Redb>(),
        "fjall" => task.run::<Fjall>(),
        "json-column" => task.run::<JsonColumn>(),
        "json-file" => task.run::<JsonFile>(),
        unknown => panic!("no peer is named {unknown}"),
    }
}
